// A page with a chat, as its author would write it. What to talk to stands behind the # of its address.
import { useChat } from "@ai-sdk/react"
import { DefaultChatTransport } from "ai"
import { createRoot } from "react-dom/client"

const { api, key, model } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)))

function Chat() {
  const { messages, sendMessage, regenerate, stop, status, error } = useChat({
    transport: new DefaultChatTransport({ api, headers: { Authorization: `Bearer ${key}` }, body: { model } }),
  })

  function send(event) {
    event.preventDefault()
    const { question, files } = event.target.elements
    sendMessage({ text: question.value, files: files.files.length ? files.files : undefined })
  }

  return (
    <>
      {messages.map((message) => (
        <article key={message.id} className={message.role}>
          <p>{message.parts.map((part) => (part.type === "text" ? part.text : ""))}</p>
          {message.parts.map((part, index) => part.type === "reasoning" && <em key={index}>{part.text}</em>)}
          <output>{JSON.stringify(message.metadata)}</output>
          {message.role === "assistant" && <button onClick={() => regenerate({ messageId: message.id })}>Redo</button>}
        </article>
      ))}
      <form onSubmit={send}>
        <input name="question" aria-label="Question" />
        <input name="files" aria-label="Files" type="file" multiple />
        <button>Send</button>
      </form>
      <button onClick={() => stop()}>Stop</button>
      <button onClick={() => regenerate()}>Regenerate</button>
      <p id="status">{status}</p>
      {error && <p role="alert">{error.message}</p>}
    </>
  )
}

createRoot(document.body.appendChild(document.createElement("main"))).render(<Chat />)
