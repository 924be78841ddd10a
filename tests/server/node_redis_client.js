// SPDX-License-Identifier: MIT
// node-redis, unmodified, doing what a web application does. Argument: the port of the node.
'use strict';
const assert = require('assert');
const { createClient } = require('redis');

const SCAN_KEYS = 100000;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function counters(client) {
  assert.strictEqual(await client.incr('hits'), 1);
  assert.strictEqual(await client.incrBy('hits', 41), 42);
  assert.strictEqual(await client.pExpire('hits', 150), true);
  const left = await client.pTTL('hits');
  assert.ok(left > 0 && left <= 150);
  await sleep(200);
  assert.strictEqual(await client.get('hits'), null);
  assert.strictEqual(await client.ttl('hits'), -2);
}

async function sessions(client) {
  assert.strictEqual(await client.set('session:1', 'alice', { EX: 60 }), 'OK');
  assert.strictEqual(await client.getEx('session:1', { EX: 600 }), 'alice');
  const ttl = await client.ttl('session:1');
  assert.ok(ttl === 600 || ttl === 599);
  assert.strictEqual(await client.set('session:1', 'bob', { NX: true }), null);
  assert.strictEqual(await client.set('session:1', 'bob', { XX: true, GET: true }), 'alice');
  assert.strictEqual(await client.getDel('session:1'), 'bob');
}

async function pipelines(client) {
  const replies = await Promise.all(
    Array.from({ length: 10000 }, (_, i) => client.incrBy('sum', i)));
  assert.strictEqual(replies[9999], (9999 * 10000) / 2);
  const mixed = await Promise.allSettled(
    [client.set('text', 'abc'), client.incr('text'), client.get('text')]);
  assert.strictEqual(mixed[1].status, 'rejected');
  assert.match(mixed[1].reason.message, /not an integer/);
  assert.strictEqual(mixed[2].value, 'abc');
}

async function transactions(client) {
  assert.deepStrictEqual(
    await client.multi().set('a', '1').incr('a').get('a').exec(), ['OK', 2, '2']);
  await client.executeIsolated(async (isolated) => {
    await isolated.watch('a');
    await client.set('a', 'changed');
    await assert.rejects(isolated.multi().set('a', 'lost').exec(), /watched/i);
  });
  assert.strictEqual(await client.get('a'), 'changed');
}

async function scan(client) {
  await client.flushAll();
  for (let start = 0; start < SCAN_KEYS; start += 1000) {
    await client.mSet(Array.from({ length: 1000 }, (_, i) => ['k:' + (start + i), String(i)]));
  }
  assert.strictEqual(await client.dbSize(), SCAN_KEYS);
  const found = new Set();
  for await (const key of client.scanIterator({ MATCH: 'k:*', COUNT: 1000 })) {
    found.add(key);
  }
  assert.strictEqual(found.size, SCAN_KEYS);
}

async function main() {
  const client = createClient({ socket: { host: '127.0.0.1', port: Number(process.argv[2]) },
                                name: 'web' });
  client.on('error', (error) => { throw error; });
  await client.connect();
  assert.strictEqual(await client.clientGetName(), 'web');
  for (const step of [counters, sessions, pipelines, transactions, scan]) {
    await step(client);
    console.log(step.name + ' ok');
  }
  await client.quit();
}

main().catch((error) => { console.error(error); process.exit(1); });
