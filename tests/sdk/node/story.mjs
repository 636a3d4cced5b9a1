// The whole life of a subscription with the Node SDK: bought, canceled, kept, ended at once, bought again.
import assert from 'node:assert/strict'
import { all, ask, buy, customer, listen, paddle, price, until } from './shop.mjs'

const receiver = await listen()
const setting = await paddle.notificationSettings.create({
  description: 'the shop',
  destination: receiver.url,
  type: 'url',
  subscribedEvents: ['subscription.updated', 'subscription.canceled'],
})
receiver.secret = setting.endpointSecretKey

const amelia = await customer()
const monthly = await price()
const bought = await buy([{ priceId: monthly.id, quantity: 10 }], amelia)
assert.equal(bought.status, 'active')
const active = await all(paddle.subscriptions.list({ customerId: [amelia.id], status: ['active'] }))
assert.deepEqual(active.map((each) => each.id), [bought.id])

const session = await paddle.customerPortalSessions.create(amelia.id, [bought.id])
const [links] = session.urls.subscriptions
assert.equal(links.id, bought.id)
assert.equal(await ask('open', links.cancelSubscription), '200')
assert.equal(await ask('open', session.urls.general.overview), '200')

const ending = await paddle.subscriptions.cancel(bought.id)
assert.equal(ending.status, 'active')
assert.equal(ending.scheduledChange.action, 'cancel')
assert.equal(ending.scheduledChange.effectiveAt, bought.nextBilledAt)
assert.equal(ending.nextBilledAt, null)
const told = (await receiver.waitFor('subscription.updated', bought.id)).event
assert.equal(told.data.scheduledChange.action, 'cancel')

const sent = await until(async () => {
  const [first] = await all(paddle.notifications.list({ notificationSettingId: [setting.id], filter: bought.id }))
  return first?.status === 'delivered' && first
}, 'it is known to be delivered')
assert.equal(sent.payload.eventId, told.eventId)
const [log] = await all(paddle.notifications.getLogs(sent.id))
assert.deepEqual([log.responseCode, log.responseBody], [200, 'thanks'])
const { notificationId } = await paddle.notifications.replay(sent.id)
await until(() => receiver.deliveries.some(({ event }) => event.notificationId === notificationId), 'it comes again')

const kept = await paddle.subscriptions.update(bought.id, { scheduledChange: null })
assert.equal(kept.scheduledChange, null)
assert.equal(kept.nextBilledAt, bought.nextBilledAt)

const ended = await paddle.subscriptions.cancel(bought.id, { effectiveFrom: 'immediately' })
assert.equal(ended.status, 'canceled')
const last = (await receiver.waitFor('subscription.canceled', bought.id)).event
assert.equal(last.data.status, 'canceled')
const updated = receiver.deliveries.filter(({ event }) => event.eventType === 'subscription.updated')
assert(updated.some(({ event }) => event.data.status === 'canceled' && event.occurredAt === last.occurredAt))
const { body, signature } = receiver.deliveries[0]
await assert.rejects(paddle.webhooks.unmarshal(body + ' ', setting.endpointSecretKey, signature))

const items = bought.items.map(({ price, quantity }) => ({ priceId: price.id, quantity }))
const again = await buy(items, amelia)
assert.notEqual(again.id, bought.id)
assert.equal(again.status, 'active')
assert.deepEqual(again.items.map(({ price, quantity }) => ({ priceId: price.id, quantity })), items)

await paddle.notificationSettings.delete(setting.id)
receiver.close()
console.log('done')
process.exit(0)
