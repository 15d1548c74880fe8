// What a program with Vercel's AI SDK and OpenRouter's provider for it does: the argument names it. Prints what it got.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { createOpenRouter } from "@openrouter/ai-sdk-provider"
import { generateText, streamText } from "ai"

let requests = 0
const fetch = globalThis.fetch
globalThis.fetch = (...request) => {
  requests += 1
  return fetch(...request)
}

const { BASE_URL, API_KEY, MODEL, PROVIDER } = process.env
const prepaid =
  PROVIDER === "openrouter"
    ? createOpenRouter({ baseURL: BASE_URL, apiKey: API_KEY })
    : createOpenAICompatible({ name: "prepaid", baseURL: BASE_URL, apiKey: API_KEY, includeUsage: true })
const question = { model: prepaid(MODEL), prompt: "What is a ledger?" }

const programs = {
  async generate() {
    const { text, usage, finishReason, providerMetadata } = await generateText(question)
    return { text, usage, finishReason, cost: providerMetadata.openrouter?.usage.cost }
  },

  async stream() {
    let error = null
    const stream = streamText({ ...question, onError: (event) => (error = event.error) })
    let text = ""
    for await (const delta of stream.textStream) text += delta
    if (error) throw error
    return { text, usage: await stream.usage, cost: (await stream.providerMetadata).openrouter?.usage.cost }
  },

  async leaveEarly() {
    const leaving = new AbortController()
    const stream = streamText({ ...question, abortSignal: leaving.signal })
    let first = null
    for await (const delta of stream.textStream) {
      first ??= delta
      leaving.abort()
    }
    return { first }
  },
}

let result
try {
  result = await programs[process.argv[2]]()
} catch (error) {
  const { name, statusCode, responseBody, isRetryable, message } = error
  result = { error: { name, statusCode, responseBody, isRetryable, message } }
}
console.log(JSON.stringify({ ...result, requests }))
