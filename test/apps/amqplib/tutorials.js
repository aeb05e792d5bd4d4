// The patterns of RabbitMQ's tutorials with npm's amqplib; BROKER is the URL of the broker.
const amqp = require('amqplib');
const assert = require('assert');
const {once} = require('events');

const later = (ms) => new Promise((done) => setTimeout(done, ms));

// receive resolves to n messages of a queue.
function receive(ch, queue, n, options = {}) {
  return new Promise((resolve, reject) => {
    const got = [];
    const late = setTimeout(() => reject(new Error(`${got.length} of ${n} messages from ${queue}`)), 10000);
    ch.consume(queue, async (m) => {
      got.push(m);
      if (!options.noAck) ch.ack(m);
      if (got.length === n) {
        clearTimeout(late);
        await ch.cancel(m.fields.consumerTag);
        resolve(got);
      }
    }, options).catch(reject);
  });
}
const texts = (list) => list.map((m) => m.content.toString());

async function workQueue(conn) {
  const ch = await conn.createChannel();
  await ch.assertQueue('js.tasks', {durable: true});
  const done = [];
  for (const i of [0, 1]) {
    const w = await conn.createChannel();
    await w.prefetch(1);
    await w.consume('js.tasks', async (m) => { done.push([i, m.content.toString()]); await later(20); w.ack(m); });
  }
  for (let i = 0; i < 6; i++) ch.sendToQueue('js.tasks', Buffer.from(`task ${i}`), {persistent: true});
  for (let i = 0; i < 200 && done.length < 6; i++) await later(20);
  assert.deepStrictEqual(done.map((d) => d[1]).sort(), [0, 1, 2, 3, 4, 5].map((i) => `task ${i}`));
  assert.strictEqual(new Set(done.map((d) => d[0])).size, 2);
}

async function publishSubscribe(conn) {
  const ch = await conn.createChannel();
  await ch.assertExchange('js.logs', 'fanout', {durable: false});
  const queues = [];
  for (let i = 0; i < 2; i++) {
    const {queue} = await ch.assertQueue('', {exclusive: true});
    await ch.bindQueue(queue, 'js.logs', '');
    queues.push(queue);
  }
  ch.publish('js.logs', '', Buffer.from('hello'));
  for (const q of queues) assert.deepStrictEqual(texts(await receive(ch, q, 1)), ['hello']);
}

async function routing(conn, type, exchange, keys, sent, want) {
  const ch = await conn.createChannel();
  await ch.assertExchange(exchange, type, {durable: false});
  const {queue} = await ch.assertQueue('', {exclusive: true});
  for (const k of keys) await ch.bindQueue(queue, exchange, k);
  for (const k of sent) ch.publish(exchange, k, Buffer.from(k));
  assert.deepStrictEqual(texts(await receive(ch, queue, want.length)), want);
}

async function rpc(conn, replyTo) {
  const ch = await conn.createChannel();
  await ch.assertQueue('js.rpc', {durable: false});
  const {consumerTag} = await ch.consume('js.rpc', (m) => {
    ch.sendToQueue(m.properties.replyTo, Buffer.from(String(m.content.toString() ** 2)), {correlationId: m.properties.correlationId});
    ch.ack(m);
  });
  const client = await conn.createChannel();
  const queue = replyTo || (await client.assertQueue('', {exclusive: true})).queue;
  const answers = receive(client, queue, 5, {noAck: true});
  for (let i = 0; i < 5; i++) client.sendToQueue('js.rpc', Buffer.from(String(i)), {replyTo: queue, correlationId: String(i)});
  for (const m of await answers) assert.strictEqual(m.content.toString(), String(m.properties.correlationId ** 2));
  await ch.cancel(consumerTag);
}

async function confirms(conn) {
  const ch = await conn.createConfirmChannel();
  const {queue} = await ch.assertQueue('', {exclusive: true});
  for (let i = 0; i < 20; i++) ch.sendToQueue(queue, Buffer.from(String(i)));
  await ch.waitForConfirms();
  const returned = once(ch, 'return');
  ch.sendToQueue('nowhere', Buffer.from('x'), {mandatory: true});
  assert.strictEqual((await returned)[0].fields.replyText, 'NO_ROUTE');
  await ch.waitForConfirms();
  assert.strictEqual((await ch.checkQueue(queue)).messageCount, 20);
}

(async () => {
  const conn = await amqp.connect(process.env.BROKER);
  await workQueue(conn);
  await publishSubscribe(conn);
  await routing(conn, 'direct', 'js.direct', ['warning', 'error'], ['info', 'warning', 'error'], ['warning', 'error']);
  await routing(conn, 'topic', 'js.topic', ['kern.*', '#.rabbit'], ['kern.info', 'cron.info', 'lazy.brown.rabbit'], ['kern.info', 'lazy.brown.rabbit']);
  await rpc(conn);
  await rpc(conn, 'amq.rabbitmq.reply-to');
  await confirms(conn);
  await conn.close();
  console.log('done');
})().catch((e) => { console.error(e); process.exit(1); });
