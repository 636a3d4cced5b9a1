// What the stories share: the client, an endpoint that keeps what it gets, and a person who pays.
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { Paddle } from '@paddle/paddle-node-sdk'

export const origin = process.env.ORIGIN
export const client = (key) => new Paddle(key, { environment: origin })
export const paddle = client(process.env.KEY)

// Asks the test for something that an app can't do, and waits until it is done: a person's part.
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
export async function ask(...words) {
  console.log(words.join(' '))
  return (await lines.next()).value
}

export async function until(look, what, seconds = 30) {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    const answer = await look()
    if (answer) return answer
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`)
    await new Promise((done) => setTimeout(done, 30))
  }
}

export async function listen() {
  const deliveries = []
  const server = createServer((request, response) => {
    const parts = []
    request.on('data', (part) => parts.push(part))
    request.on('end', async () => {
      const body = Buffer.concat(parts).toString('utf8')
      const signature = request.headers['paddle-signature']
      const event = await paddle.webhooks.unmarshal(body, receiver.secret, signature).catch((error) => error)
      deliveries.push({ body, signature, event })
      response.end('thanks')
    })
  })
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
  const receiver = { secret: '', deliveries, url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() }
  receiver.waitFor = (type, id) =>
    until(() => deliveries.find(({ event }) => event.eventType === type && event.data.id === id), `${type} of ${id}`)
  return receiver
}

export async function all(collection) {
  const found = []
  for await (const each of collection) found.push(each)
  return found
}

export const product = () => paddle.products.create({ name: 'AeroEdit Pro', taxCategory: 'standard' })

export async function price(amount = '3000') {
  const { id } = await product()
  return paddle.prices.create({
    description: 'AeroEdit Pro',
    productId: id,
    name: 'Monthly (per seat)',
    unitPrice: { amount, currencyCode: 'USD' },
    billingCycle: { interval: 'month', frequency: 1 },
    quantity: { minimum: 1, maximum: 999 },
  })
}

export async function customer(name = 'Amelia Harper') {
  const email = `amelia.${crypto.randomUUID()}@example.com`
  const made = await paddle.customers.create({ email, name, customData: { crmId: 7 } })
  const where = { countryCode: 'US', firstLine: '4050 Jefferson Plaza', city: 'New York', postalCode: '10021' }
  return { ...made, address: await paddle.addresses.create(made.id, where) }
}

export async function transaction(items, buyer) {
  return paddle.transactions.create({ items, customerId: buyer.id, addressId: buyer.address.id })
}

// The subscription that somebody gets who pays for a transaction on its page.
export async function buy(items, buyer) {
  const { id, checkout } = await transaction(items, buyer)
  await ask('pay', checkout.url)
  const paid = await until(async () => {
    const now = await paddle.transactions.get(id)
    return now.subscriptionId && now
  }, 'it is paid')
  return paddle.subscriptions.get(paid.subscriptionId)
}
