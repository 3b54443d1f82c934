// kafkajs as a test peer: JSON lines in, JSON lines out.
// The tasks and answers are described in tests/support/peers.rs.
'use strict'
const readline = require('readline')
const {
  Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, Partitioners, logLevel,
  AssignerProtocol: { MemberMetadata, MemberAssignment },
} = require('kafkajs')

// Its own are none and gzip. kafkajs-lz4, which its manual names, builds its library from source; this one brings it built.
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => {
  const lz4 = require('lz4-napi')
  return { compress: encoder => lz4.compressFrame(encoder.buffer), decompress: buffer => lz4.decompressFrame(buffer) }
}
CompressionCodecs[CompressionTypes.ZSTD] = () => {
  const zstd = require('@mongodb-js/zstd')
  return { compress: encoder => zstd.compress(encoder.buffer), decompress: buffer => zstd.decompress(buffer) }
}

const SECONDS = 60
// The numbers of a journey; the records are young enough for the retention.
const RETENTION_MS = '3600000'
const AGO_MS = 1_800_000
const RECORDS = 30
const WANTED = 10
const TOO_LARGE = 2_000_000
const BEHIND_THE_END = 1_000_000
const SETTLE_MS = 15_000

const bootstrap = process.argv[2]
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
const unhex = text => (text === null ? null : Buffer.from(text, 'hex'))
const tohex = data => (data === null || data === undefined ? null : Buffer.from(data).toString('hex'))
const tell = line => process.stdout.write(JSON.stringify(line) + '\n')

// What it logs goes to standard error, and to whoever listens.
let listen = () => {}
function kafka(clientId) {
  const logCreator = () => ({ log }) => {
    listen(log.message)
    console.error(log.timestamp, clientId, log.message, log.error || '')
  }
  return new Kafka({ clientId, brokers: [bootstrap], logLevel: logLevel.WARN, logCreator })
}

function newProducer(idempotent) {
  return kafka('producer').producer({ idempotent, maxInFlightRequests: 1, createPartitioner: Partitioners.DefaultPartitioner })
}

async function produce(task) {
  const producer = newProducer(task.idempotent)
  await producer.connect()
  const compression = { none: 'None', gzip: 'GZIP', snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' }[task.codec]
  const acks = []
  // One call is one batch of each partition.
  for (let at = 0; at < task.records.length; at += 100) {
    const records = task.records.slice(at, at + 100)
    const messages = records.map(record => {
      const headers = {}
      for (const [name, value] of record.headers) {
        headers[name] = name in headers ? [].concat(headers[name], unhex(value)) : unhex(value)
      }
      const { partition, timestamp } = record
      return { partition, timestamp: String(timestamp), key: unhex(record.key), value: unhex(record.value), headers }
    })
    const results = await producer.send({
      topic: task.topic, messages, acks: task.acks === 'all' ? -1 : Number(task.acks), compression: CompressionTypes[compression],
    })
    // Without acks there are no results.
    const next = new Map(results.map(result => [result.partition, Number(result.baseOffset)]))
    for (const { partition } of records) {
      acks.push([partition, next.has(partition) ? next.get(partition) : -1])
      if (next.has(partition)) next.set(partition, next.get(partition) + 1)
    }
  }
  await producer.disconnect()
  return [{ topic: task.topic, acks }]
}

function dump(topic, partition, message) {
  const headers = []
  for (const [name, values] of Object.entries(message.headers || {})) {
    for (const value of [].concat(values)) headers.push([name, tohex(value)])
  }
  return {
    topic, partition, offset: Number(message.offset), timestamp: Number(message.timestamp), key: tohex(message.key),
    value: tohex(message.value), headers,
  }
}

// This client cannot be assigned partitions: it joins a group of its own and seeks.
async function consume(task) {
  const client = kafka('consumer')
  const consumer = client.consumer({ groupId: `alone-${process.pid}-${Date.now()}`, maxWaitTimeInMs: 200, allowAutoTopicCreation: false })
  await consumer.connect()
  await consumer.subscribe({ topics: [...new Set(task.partitions.map(part => part.topic))], fromBeginning: true })
  const waiting = new Map()
  for (const part of task.partitions) {
    let from = part.from || 0
    if (part.from_timestamp !== undefined && part.from_timestamp !== null) {
      const admin = client.admin()
      await admin.connect()
      const found = await admin.fetchTopicOffsetsByTimestamp(part.topic, part.from_timestamp)
      from = Number(found.find(one => one.partition === part.partition).offset)
      await admin.disconnect()
    }
    if (from < part.end) waiting.set(`${part.topic} ${part.partition}`, { ...part, next: from, from })
  }
  const answers = []
  const starts = [...waiting.values()].map(({ topic, partition, from }) => ({ topic, partition, offset: String(from) }))
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      const place = waiting.get(`${batch.topic} ${batch.partition}`)
      for (const message of batch.messages) {
        // It may have begun to read before it was told where.
        if (place === undefined || Number(message.offset) < place.next) continue
        place.next = Number(message.offset) + 1
        answers.push(dump(batch.topic, batch.partition, message))
      }
      if (place !== undefined && place.next >= place.end) waiting.delete(`${batch.topic} ${batch.partition}`)
    },
  })
  starts.forEach(start => consumer.seek(start))
  const deadline = Date.now() + (task.seconds || SECONDS) * 1000
  while (waiting.size > 0) {
    if (Date.now() > deadline) throw new Error(`time is up, waiting for ${[...waiting.keys()]}`)
    await sleep(20)
  }
  await consumer.disconnect()
  return [...answers, { done: true }]
}

// Kafka's range assignor, so that members of other clients can be in the group; its own only assignor is known to nobody else.
const rangeAssigner = ({ cluster }) => ({
  name: 'range',
  version: 0,
  protocol: ({ topics }) => ({ name: 'range', metadata: MemberMetadata.encode({ version: 0, topics }) }),
  assign: async ({ members }) => {
    const subscriptions = members.map(({ memberId, memberMetadata }) => [memberId, MemberMetadata.decode(memberMetadata).topics])
    const assigned = new Map(members.map(({ memberId }) => [memberId, {}]))
    for (const topic of new Set(subscriptions.flatMap(([, topics]) => topics))) {
      const readers = subscriptions.filter(([, topics]) => topics.includes(topic)).map(([memberId]) => memberId).sort()
      const partitions = cluster.findTopicPartitionMetadata(topic).map(one => one.partitionId).sort((a, b) => a - b)
      readers.forEach((memberId, index) => {
        const [from, end] = [index, index + 1].map(part => Math.ceil((part * partitions.length) / readers.length))
        assigned.get(memberId)[topic] = partitions.slice(from, end)
      })
    }
    return [...assigned].map(([memberId, assignment]) => ({
      memberId, memberAssignment: MemberAssignment.encode({ version: 0, assignment }),
    }))
  },
})

async function member(task, ended) {
  const consumer = kafka(task.name).consumer({
    groupId: task.group, sessionTimeout: task.session_timeout_ms, heartbeatInterval: 500, maxWaitTimeInMs: 200,
    partitionAssigners: [rangeAssigner],
  })
  // The partitions that it has, each with the offset before which everything is committed.
  let owned = new Map()
  const key = (topic, partition) => `${topic} ${partition}`
  const places = () => [...owned.keys()].map(name => [name.split(' ')[0], Number(name.split(' ')[1])])
  const revoked = () => {
    if (owned.size > 0) tell({ revoked: places() })
    owned = new Map()
  }
  consumer.on(consumer.events.REBALANCING, revoked)
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    revoked()
    for (const [topic, partitions] of Object.entries(payload.memberAssignment)) {
      partitions.forEach(partition => owned.set(key(topic, partition), 0))
    }
    tell({ assigned: places() })
  })
  await consumer.connect()
  await consumer.subscribe({ topics: task.topics, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch: { topic, partition, messages }, resolveOffset }) => {
      // It goes on with what it has fetched while it rejoins the group: that is not ours any more, or it is read twice.
      const generation = owned
      const fresh = messages.filter(message => Number(message.offset) >= generation.get(key(topic, partition)))
      if (fresh.length === 0) return
      const next = Number(fresh[fresh.length - 1].offset) + 1
      await consumer.commitOffsets([{ topic, partition, offset: String(next) }])
      generation.set(key(topic, partition), next)
      resolveOffset(fresh[fresh.length - 1].offset)
      fresh.forEach(message => tell({ read: [topic, partition, Number(message.offset)] }))
    },
  })
  await ended
  await consumer.disconnect()
  tell({ left: true })
}

const errorText = error => `${error.name} ${error.type || ''}: ${error.message}`

async function errorOf(promise) {
  try {
    await promise
    return null
  } catch (error) {
    return errorText(error)
  }
}

// Asks until the answer is enough: what an admin call did is seen a little later.
async function until(ask, enough) {
  for (const deadline = Date.now() + SETTLE_MS; ; await sleep(100)) {
    const seen = await ask()
    if (enough(seen) || Date.now() > deadline) return seen
  }
}

async function journey(task) {
  const { topic, group } = task
  const answer = {}
  const base = Date.now() - AGO_MS
  const client = kafka('journey')
  // It tries again what cannot be.
  const admin = client.admin({ retry: { retries: 2 } })
  await admin.connect()
  const topics = [{ topic, numPartitions: 3, replicationFactor: 1, configEntries: [{ name: 'retention.ms', value: RETENTION_MS }] }]
  await admin.createTopics({ topics })
  // It turns this error into an answer.
  answer.exists = (await admin.createTopics({ topics })) ? null : 'createTopics says that it exists'
  answer.absent = await errorOf(admin.deleteTopics({ topics: [topic + '-absent'] }))
  const configs = await admin.describeConfigs({
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms'] }], includeSynonyms: false,
  })
  answer.retention = configs.resources[0].configEntries[0].configValue

  const producer = newProducer(true)
  await producer.connect()
  for (let number = 0; number < RECORDS; number++) {
    await producer.send({ topic, messages: [{ partition: 0, timestamp: String(base + number), value: String(number) }] })
  }
  answer.too_large = await errorOf(producer.send({ topic, messages: [{ partition: 0, value: Buffer.alloc(TOO_LARGE) }] }))
  await producer.disconnect()

  const found = await admin.fetchTopicOffsetsByTimestamp(topic, base + WANTED)
  answer.by_time = Number(found.find(one => one.partition === 0).offset)
  const consumer = client.consumer({ groupId: group, maxWaitTimeInMs: 200 })
  await consumer.connect()
  // From the end, where nothing is: what it reads is what it was told to seek.
  await consumer.subscribe({ topics: [topic] })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      await consumer.commitOffsets([{ topic, partition: 0, offset: String(answer.by_time + 1) }])
      answer.value = batch.messages[0].value.toString()
    },
  })
  consumer.seek({ topic, partition: 0, offset: String(answer.by_time) })
  await until(() => answer.value, value => value !== undefined)
  const [committed] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
  answer.committed = Number(committed.partitions.find(one => one.partition === 0).offset)
  // It does not hand this error out: it says so, commits -1 and goes where it was told to begin.
  listen = message => {
    if (/out of range/i.test(message)) answer.out_of_range = message
  }
  consumer.seek({ topic, partition: 0, offset: String(BEHIND_THE_END) })
  await until(() => answer.out_of_range, text => text !== undefined)
  await consumer.disconnect()

  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
  const partitions = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
  answer.partitions = await until(partitions, seen => seen === 5)
  answer.nodes = (await admin.describeCluster()).brokers.length
  answer.listed = (await admin.listGroups()).groups.some(one => one.groupId === group)
  await admin.deleteTopics({ topics: [topic] })
  answer.deleted = await until(async () => !(await admin.listTopics()).includes(topic), gone => gone)
  await admin.disconnect()
  return [answer]
}

async function main() {
  const lines = readline.createInterface({ input: process.stdin })
  const ended = new Promise(resolve => lines.once('close', resolve))
  const tasks = []
  let wake = () => {}
  lines.on('line', line => {
    tasks.push(JSON.parse(line))
    wake()
  })
  lines.once('close', () => wake())
  let open = true
  ended.then(() => (open = false))
  while (open || tasks.length > 0) {
    if (tasks.length === 0) {
      await new Promise(resolve => (wake = resolve))
      continue
    }
    const task = tasks.shift()
    if (task.do === 'member') {
      await member(task, ended)
      break
    }
    for (const answer of await { produce, consume, journey }[task.do](task)) tell(answer)
  }
}

main().then(
  () => process.stdout.write('', () => process.exit(0)),
  error => {
    console.error(error)
    process.exit(1)
  },
)
