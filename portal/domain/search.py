"""Finding customers by part of their name or address: an index that answers alike at a thousand and at a million."""

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base


class SearchTerm(Base):
    """`text` begins with a word of the customer's name or address and goes on with the words behind it."""

    __tablename__ = "search_terms"
    __table_args__ = (Index(None, "customer_id"),)

    text: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), primary_key=True)
