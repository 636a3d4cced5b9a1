// Passkeys of the console. Their forms stay hidden where a browser has none; the link by mail needs no script.
'use strict'

const decode = text => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0))
const encode = bytes => btoa(String.fromCharCode(...new Uint8Array(bytes)))
  .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')

// What browsers without the JSON helpers of WebAuthn are given, and what they answer.

const creation = json => PublicKeyCredential.parseCreationOptionsFromJSON
  ? PublicKeyCredential.parseCreationOptionsFromJSON(json)
  : {
      ...json,
      challenge: decode(json.challenge),
      user: { ...json.user, id: decode(json.user.id) },
      excludeCredentials: (json.excludeCredentials || []).map(known => ({ ...known, id: decode(known.id) })),
    }

const request = json => PublicKeyCredential.parseRequestOptionsFromJSON
  ? PublicKeyCredential.parseRequestOptionsFromJSON(json)
  : { ...json, challenge: decode(json.challenge), allowCredentials: [] }

const plain = credential => {
  if (credential.toJSON) return credential.toJSON()
  const response = {}
  for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
    if (credential.response[name]) response[name] = encode(credential.response[name])
  }
  const id = encode(credential.rawId)
  return { id, rawId: id, type: credential.type, response, clientExtensionResults: {} }
}

const words = {
  NotAllowedError: 'No passkey was used: it was canceled, or it took too long. Try again.',
  InvalidStateError: 'This device already has a passkey for your account.',
  TypeError: 'The portal can’t be reached. Try again.',
}

async function post(path, form, body) {
  const answer = await fetch(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-CSRFToken': form.elements.csrf_token.value },
    body: JSON.stringify(body),
  })
  if (answer.status === 429) throw new Error('Too many attempts. Try again later.')
  const isOurs = (answer.headers.get('Content-Type') || '').startsWith('application/json')
  if (!isOurs) throw new Error('This page is no longer valid. Reload it, then try again.')
  const told = await answer.json()
  if (!answer.ok) throw new Error(told.problem)
  return told
}

async function use(form) {
  const isNew = 'name' in form.elements
  const options = await post(`${form.action}/options`, form, {})
  const publicKey = isNew ? creation(options) : request(options)
  const credential = await navigator.credentials[isNew ? 'create' : 'get']({ publicKey })
  const fields = Object.fromEntries(['name', 'next'].filter(n => n in form.elements).map(n => [n, form.elements[n].value]))
  return post(form.action, form, { ...fields, credential: plain(credential) })
}

for (const form of window.PublicKeyCredential ? document.querySelectorAll('form[data-passkey]') : []) {
  const told = form.querySelector('[role=alert]')
  let busy = false
  form.hidden = false
  form.addEventListener('submit', async event => {
    event.preventDefault()
    if (busy) return
    busy = true
    told.textContent = ''
    try {
      location.assign((await use(form)).next)
    } catch (wrong) {
      told.textContent = words[wrong.name] || wrong.message
      busy = false
    }
  })
}
