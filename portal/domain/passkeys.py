"""Passkeys of the seller's people (WebAuthn): a key in their device that signs a challenge of ours, once.

The device asks for finger, face or PIN itself, and signs for our own origin only, so that nothing can be given away.
"""

import ipaddress
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

from fido2 import cbor
from fido2.cose import CoseKey
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from sqlalchemy import ForeignKey, Index, LargeBinary, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from portal import clock, config, ids
from portal.db import Base, session
from portal.domain import audit, staff
from portal.domain.actors import Actor
from portal.domain.staff import StaffMember

log = logging.getLogger("portal.passkeys")
LIFETIME = timedelta(minutes=5)
LONGEST_NAME = 60
_LONGEST_ID = 1023
_VERIFIED = UserVerificationRequirement.REQUIRED


class Passkey(Base):
    """`credential_id` and `public_key` as the authenticator gave them (WebAuthn); `sign_count` as it counted last."""

    __tablename__ = "passkeys"
    __table_args__ = (Index(None, "staff_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    staff_id: Mapped[str] = mapped_column(ForeignKey("staff.id"))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int]
    name: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class PasskeyChallenge(Base):
    """What an authenticator is to sign, once. Without `staff_id` it is for signing in."""

    __tablename__ = "passkey_challenges"
    __table_args__ = (Index(None, "expires_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    staff_id: Mapped[str | None]
    challenge: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime]


def are_possible() -> bool:
    """Whether browsers have passkeys for this portal: never for a host that is a bare IP address."""
    try:
        ipaddress.ip_address(_host())
    except ValueError:
        return True
    return False


def of(staff_id: str) -> Sequence[Passkey]:
    return session().scalars(select(Passkey).where(Passkey.staff_id == staff_id).order_by(Passkey.id)).all()


def ask_for_new(member: StaffMember) -> tuple[str, dict[str, Any]]:
    """A challenge's id, and what a browser is told so that it makes a passkey (PublicKeyCredentialCreationOptions)."""
    known = [
        PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=passkey.credential_id)
        for passkey in of(member.id)
    ]
    asked = _challenge(member.id)
    options, _state = _server().register_begin(
        PublicKeyCredentialUserEntity(id=member.id.encode(), name=member.email, display_name=member.called),
        known,
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=_VERIFIED,
        challenge=asked.challenge,
    )
    return asked.id, dict(options.public_key)


def add(
    member: StaffMember, challenge_id: str, answer: Any, *, name: str, by: Actor, browser: str, client: str
) -> Passkey | None:
    """Keeps the passkey that a browser has made, and uses the challenge up; its owner is told from which browser.

    None if the answer is not one to our challenge.
    """
    asked = _take(challenge_id, member.id)
    try:
        made, credential = _made(answer, asked)
        if staff.living(member.id) is None:
            raise _Refused("its owner was taken off the staff meanwhile")
        if session().scalar(select(Passkey.id).where(Passkey.credential_id == credential.credential_id)):
            raise _Refused("it is known already")
    except _Refused as refused:
        _note(refused)
        return None
    passkey = Passkey(
        id=ids.new("passkey"),
        staff_id=member.id,
        credential_id=credential.credential_id,
        public_key=cbor.encode(credential.public_key),
        sign_count=made.counter,
        name=name,
        created_at=clock.now(),
    )
    session().add(passkey)
    audit.record("staff.passkey_added", by=by, subject=member.id, passkey=passkey.id, name=name)
    staff.tell(member, "passkey_added", by=by, name=name, browser=browser, client=client)
    return passkey


def ask_to_sign_in() -> tuple[str, dict[str, Any]]:
    """A challenge's id, and what a browser is told so that it offers its passkeys.

    That is what WebAuthn calls PublicKeyCredentialRequestOptions.
    """
    asked = _challenge(None)
    options, _state = _server().authenticate_begin(user_verification=_VERIFIED, challenge=asked.challenge)
    return asked.id, dict(options.public_key)


def prove(challenge_id: str, answer: Any) -> StaffMember | None:
    """Who has signed our challenge with a passkey; None if nobody of the staff has. Uses the challenge up."""
    asked = _take(challenge_id, None)
    try:
        given = _answer(answer)
        member, passkey = _owner(given)
        _check_signature(given, passkey, asked)
        counted = given.response.authenticator_data.counter
        if counted <= passkey.sign_count and (counted or passkey.sign_count):
            somebody = Actor("staff", member.id, "console", member.called)
            audit.record("staff.passkey_refused", by=somebody, subject=member.id, passkey=passkey.id, because="copied")
            raise _Refused("its counter went back, so there may be a copy of it")
    except _Refused as refused:
        _note(refused)
        return None
    passkey.sign_count, passkey.last_used_at = counted, clock.now()
    return member


def remove(passkey_id: str, *, member: StaffMember, by: Actor, browser: str, client: str) -> bool:
    """Forgets one passkey of somebody, who is told from which browser. False: they have no such passkey."""
    own = delete(Passkey).where(Passkey.id == passkey_id, Passkey.staff_id == member.id)
    name = session().scalar(own.returning(Passkey.name))
    if name is None:
        return False
    audit.record("staff.passkey_removed", by=by, subject=member.id, passkey=passkey_id, name=name)
    staff.tell(member, "passkey_removed", by=by, name=name, browser=browser, client=client)
    return True


def forget_all_of(staff_id: str) -> None:
    session().execute(delete(Passkey).where(Passkey.staff_id == staff_id))


def forget_old() -> None:
    session().execute(delete(PasskeyChallenge).where(PasskeyChallenge.expires_at < clock.now()))


def _challenge(staff_id: str | None) -> PasskeyChallenge:
    asked = PasskeyChallenge(
        id=ids.new("pkc"), staff_id=staff_id, challenge=os.urandom(32), expires_at=clock.now() + LIFETIME
    )
    session().add(asked)
    return asked


def _take(challenge_id: str, staff_id: str | None) -> bytes | None:
    """A challenge, which nobody gets again; None if it is used, too old or another's."""
    taken = session().execute(
        delete(PasskeyChallenge)
        .where(PasskeyChallenge.id == challenge_id)
        .returning(PasskeyChallenge.staff_id, PasskeyChallenge.challenge, PasskeyChallenge.expires_at)
    )
    found = taken.first()
    if found is None or found.staff_id != staff_id or found.expires_at <= clock.now():
        return None
    return bytes(found.challenge)


class _Refused(Exception):
    """Why an answer is not taken; for the log, never for whoever sent it."""


@contextmanager
def _judging() -> Iterator[None]:
    """Whatever is sent instead of an answer, and however the library stumbles over it, is a refusal and no defect."""
    try:
        yield
    except Exception as wrong:
        raise _Refused(f"{type(wrong).__name__} {wrong}".strip()) from None


def _made(answer: Any, challenge: bytes | None) -> tuple[AuthenticatorData, AttestedCredentialData]:
    """What a browser says of the passkey it has made, if that is true. Raises _Refused."""
    with _judging():
        given = RegistrationResponse.from_dict(answer)
        made = _server().register_complete(_state(challenge), given)
        credential = made.credential_data
        if credential is None or len(credential.credential_id) > _LONGEST_ID:
            raise ValueError("no id that can be kept")
        if credential.public_key.get(3) not in CoseKey.supported_algorithms():
            raise ValueError("an unknown kind of key")
        _refuse_framed(given.response.client_data)
    return made, credential


def _answer(answer: Any) -> AuthenticationResponse:
    with _judging():
        given = AuthenticationResponse.from_dict(answer)
        if given is None:
            raise ValueError("nothing was sent")
    return given


def _owner(given: AuthenticationResponse) -> tuple[StaffMember, Passkey]:
    """Whose passkey it is, who stays on the staff until this transaction ends. Raises _Refused."""
    wanted = select(Passkey).where(Passkey.credential_id == given.raw_id)
    owner = session().scalar(wanted.with_only_columns(Passkey.staff_id))
    member = staff.living(owner) if owner else None
    passkey = session().scalar(wanted)
    if member is None or passkey is None or given.response.user_handle != member.id.encode():
        raise _Refused("it is nobody's")
    return member, passkey


def _check_signature(given: AuthenticationResponse, passkey: Passkey, challenge: bytes | None) -> None:
    """Raises _Refused."""
    with _judging():
        key = CoseKey.parse(cast("Mapping[int, Any]", cbor.decode(passkey.public_key)))
        known = AttestedCredentialData.create(Aaguid.NONE, passkey.credential_id, key)
        _server().authenticate_complete(_state(challenge), [known], given)
        _refuse_framed(given.response.client_data)


def _state(challenge: bytes | None) -> dict[str, Any]:
    """What the library needs to know of a challenge."""
    if challenge is None:
        raise ValueError("the challenge is used, too old or another's")
    return {"challenge": websafe_encode(challenge), "user_verification": _VERIFIED}


def _refuse_framed(client: CollectedClientData) -> None:
    if client.cross_origin:
        raise ValueError("the page that asked stood inside another site's")


def _note(refused: _Refused) -> None:
    log.warning("passkey refused", extra={"error": str(refused)[:200]})


def _server() -> Fido2Server:
    settings = config.current()
    return Fido2Server(
        PublicKeyCredentialRpEntity(id=_host(), name=settings.brand_name),
        attestation=AttestationConveyancePreference.NONE,
        verify_origin=lambda origin: origin == settings.base_url,
    )


def _host() -> str:
    return urlsplit(config.current().base_url).hostname or "localhost"
