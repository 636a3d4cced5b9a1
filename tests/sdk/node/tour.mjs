// Lists, pages, errors and events with the Node SDK.
import assert from 'node:assert/strict'
import { ApiError, Paddle } from '@paddle/paddle-node-sdk'
import { all, buy, client, customer, origin, paddle, price, product, transaction, until } from './shop.mjs'

const ids = (entities) => entities.map((each) => each.id)

async function refused(asked, code, status) {
  const error = await asked.then(() => assert.fail(`not refused: ${code}`), (error) => error)
  assert(error instanceof ApiError, String(error))
  assert.equal(error.code, code)
  assert.equal(error.type, 'request_error')
  assert(error.detail)
  assert(error.documentationUrl.startsWith('http'))
  return error
}

// Pages: each is fetched by the link of the one before, in both directions, with a base URL that it must repeat.
const sold = await product()
const prices = []
for (const number of [1, 2, 3, 4, 5]) {
  const unitPrice = { amount: `${number}00`, currencyCode: 'USD' }
  prices.push(await paddle.prices.create({ description: `Plan ${number}`, productId: sold.id, unitPrice }))
}
const collection = paddle.prices.list({ productId: [sold.id], perPage: 2, orderBy: 'id[ASC]' })
assert.deepEqual(ids(await collection.next()), ids(prices.slice(0, 2)))
assert.equal(collection.hasMore, true)
assert.equal(collection.estimatedTotal, 5)
assert.deepEqual(ids(await collection.next()), ids(prices.slice(2, 4)))
assert.deepEqual(ids(await collection.next()), ids(prices.slice(4)))
assert.equal(collection.hasMore, false)
assert.deepEqual(ids(await all(paddle.prices.list({ productId: [sold.id], perPage: 2 }))), ids(prices).reverse())
const [withPrices] = await all(paddle.products.list({ id: [sold.id], include: ['prices'] }))
assert.equal(withPrices.prices.length, 5)


// However the base URL is spelled: with a slash at its end, or by the machine's other name.
for (const base of [`${origin}/`, origin.replace('127.0.0.1', 'localhost')]) {
  const other = new Paddle(process.env.KEY, { environment: base })
  assert.deepEqual(ids(await all(other.prices.list({ productId: [sold.id], perPage: 2 }))), ids(prices).reverse())
  assert.equal((await other.products.update(sold.id, { description: base })).description, base)
}

// What the app keeps beside an entity comes back with its keys as they were.
const amelia = await customer()
assert.deepEqual((await paddle.customers.get(amelia.id)).customData, { crmId: 7 })
assert.equal((await paddle.customers.update(amelia.id, { name: 'Amelia' })).name, 'Amelia')
const business = await paddle.businesses.create(amelia.id, { name: 'Harper Aerial', taxIdentifier: 'GB1' })
assert.deepEqual(business.contacts, [])
assert.deepEqual(ids(await all(paddle.businesses.list(amelia.id))), [business.id])
assert.deepEqual(ids(await all(paddle.addresses.list(amelia.id))), [amelia.address.id])

// Errors, whoever refuses; also where there is nothing.
const unknown = '01h00000000000000000000000'
await refused(paddle.subscriptions.get(`sub_${unknown}`), 'not_found')
await refused(client('pdl_live_apikey_wrong').products.get(sold.id), 'invalid_token')
await refused(paddle.customers.create({ email: amelia.email }), 'customer_already_exists')
const { errors } = await refused(paddle.products.create({ name: '', taxCategory: 'standard' }), 'invalid_field')
assert.deepEqual(errors.map((each) => each.field), ['name'])
await refused(paddle.discounts.list().next(), 'invalid_url')
await refused(paddle.products.create({ name: 'x'.repeat(5_000_000), taxCategory: 'standard' }), 'request_body_too_large')

// A purchase, and each list that knows of it.
const monthly = await price()
const draft = await transaction([{ priceId: monthly.id, quantity: 1 }], amelia)
assert.equal(draft.status, 'ready')
const bought = await buy([{ priceId: monthly.id, quantity: 2 }], amelia)
assert.deepEqual(ids(await all(paddle.subscriptions.list({ priceId: [monthly.id] }))), [bought.id])
const [paid] = await all(paddle.transactions.list({ subscriptionId: [bought.id], include: ['customer'] }))
assert.equal(paid.details.totals.total, '6000')
assert.equal(paid.customer.email, amelia.email)
assert.equal(paid.payments[0].methodDetails.card.last4, '4242')
const invoice = await fetch((await paddle.transactions.getInvoicePDF(paid.id)).url)
assert.equal(invoice.headers.get('content-type'), 'application/pdf')
const [card] = await all(paddle.paymentMethods.list(amelia.id))
assert.equal((await paddle.paymentMethods.get(amelia.id, card.id)).card.last4, '4242')
const change = await paddle.subscriptions.getPaymentMethodChangeTransaction(bought.id)
assert.equal(change.origin, 'subscription_payment_method_change')

const once = { unitPrice: { amount: '9900', currencyCode: 'USD' } }

// What the SDK sends when it is told nothing: no body, or an empty one.
const paused = await paddle.subscriptions.pause(bought.id, {})
assert.equal(paused.scheduledChange.action, 'pause')
await refused(paddle.subscriptions.cancel(bought.id), 'subscription_locked_pending_changes')
await paddle.subscriptions.update(bought.id, { scheduledChange: null })
const preview = await paddle.subscriptions.previewUpdate(bought.id, {
  items: [{ priceId: monthly.id, quantity: 5 }],
  prorationBillingMode: 'full_immediately',
})
assert(preview.immediateTransaction.details.totals.total > '0')

const now = { effectiveFrom: 'immediately' }
assert.equal((await paddle.subscriptions.pause(bought.id, now)).items[0].status, 'inactive')
assert.equal((await paddle.subscriptions.resume(bought.id, now)).status, 'active')
const bills = () => all(paddle.transactions.list({ subscriptionId: [bought.id], origin: ['subscription_recurring'] }))
await until(async () => (await bills()).some(({ status }) => status === 'completed'), 'the new period is paid')
const setUp = await paddle.prices.create({ ...once, description: 'Set-up', productId: sold.id })
const charge = { effectiveFrom: 'next_billing_period', items: [{ priceId: setUp.id, quantity: 1 }] }
const charged = await paddle.subscriptions.previewOneTimeCharge(bought.id, charge)
assert.equal(charged.nextTransaction.details.totals.total, '15900')
assert.equal((await paddle.subscriptions.createOneTimeCharge(bought.id, charge)).id, bought.id)
assert.deepEqual((await paddle.customerPortalSessions.create(amelia.id, [])).urls.subscriptions, [])
assert(Array.isArray(await paddle.notificationSettings.list()))
assert.equal((await paddle.products.archive(sold.id)).status, 'archived')

// Every event so far is one that the SDK makes an entity of.
const types = new Set((await paddle.eventTypes.list()).map((each) => each.name))
const events = await all(paddle.events.list({ perPage: 25 }))
assert(events.length > 10)
for (const event of events) assert(types.has(event.eventType), event.eventType)
assert(events.some((event) => event.eventType === 'subscription.created' && event.data.id === bought.id))

console.log('done')
process.exit(0)
