// What a program with OpenAI's client for Node.js does: the argument names it. Prints what it got.
import OpenAI from "openai"

let requests = 0
const fetch = globalThis.fetch
globalThis.fetch = (...request) => {
  requests += 1
  return fetch(...request)
}

const { BASE_URL, API_KEY, MODEL } = process.env
const client = new OpenAI({ baseURL: BASE_URL, apiKey: API_KEY })
const question = { model: MODEL, messages: [{ role: "user", content: "What is a ledger?" }] }

const programs = {
  async chat() {
    const { data, response } = await client.chat.completions.create(question).withResponse()
    return { id: data.id, text: data.choices[0].message.content, usage: data.usage, charged: response.headers.get("x-credits-charged") }
  },

  async stream() {
    let text = ""
    let usage = null
    for await (const chunk of await client.chat.completions.create({ ...question, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? ""
      usage = chunk.usage ?? usage
    }
    return { text, usage }
  },

  async streamHelper() {
    let deltas = ""
    const stream = client.chat.completions.stream(question).on("content", (delta) => (deltas += delta))
    return { text: await stream.finalContent(), deltas, usage: await stream.totalUsage() }
  },

  async leaveEarly() {
    for await (const chunk of await client.chat.completions.create({ ...question, stream: true })) {
      return { first: chunk.choices[0].delta.content }
    }
  },

  async tooMuch() {
    return { text: await client.chat.completions.create({ ...question, n: 101 }) }
  },

  async models() {
    const ids = []
    for await (const model of client.models.list()) ids.push(model.id)
    return { ids }
  },
}

let result
try {
  result = await programs[process.argv[2]]()
} catch (error) {
  const { status, code, type, message } = error
  result = { error: { name: error.constructor.name, status, code, type, message, body: error.error } }
}
console.log(JSON.stringify({ ...result, requests }))
