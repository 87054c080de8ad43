// Shows what this page cost on the wire, and draws the tide. No library, no build step.
'use strict'

const inBytes = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })

function size(bytes) {
  return bytes < 1000 ? `${bytes} B` : `${inBytes.format(bytes / 1000)} kB`
}

// The browser's own account of each file: encodedBodySize is what came over the wire (or lies in
// its cache), decodedBodySize is what the page sees.
function measured() {
  const entries = [
    ...performance.getEntriesByType('navigation'),
    ...performance.getEntriesByType('resource'),
  ]
  const here = new URL('.', location.href).href
  const files = new Map()
  for (const { name, encodedBodySize, decodedBodySize } of entries) {
    if (!name.startsWith(here) || decodedBodySize === 0) continue
    const path = name.slice(here.length).split(/[?#]/)[0] || 'index.html'
    files.set(path, { path, sent: encodedBodySize, size: decodedBodySize })
  }
  return [...files.values()].sort((a, b) => b.size - a.size)
}

function row({ path, size: whole, sent }) {
  const tr = document.createElement('tr')
  for (const text of [path, size(whole), size(sent)]) {
    tr.insertCell().textContent = text
  }
  const share = Math.min(100, (100 * sent) / whole)
  const cell = tr.insertCell()
  cell.className = 'bar'
  cell.title = `${share.toFixed(0)} %`
  const track = cell.appendChild(document.createElement('span'))
  track.appendChild(document.createElement('i')).style.width = `${share}%`
  return tr
}

function showSavings() {
  const files = measured()
  const sum = key => files.reduce((total, file) => total + file[key], 0)
  const [whole, sent] = [sum('size'), sum('sent')]
  const saved = Math.round(100 * (1 - sent / whole))
  document.getElementById('files').replaceChildren(...files.map(row))
  document.getElementById('total').textContent = saved > 0
    ? `${size(sent)} instead of ${size(whole)}: ${saved} % saved`
    : `${size(whole)}, and nothing saved: whatever serves this page does not compress it`
}

function draw(hours) {
  const canvas = document.getElementById('chart')
  const context = canvas.getContext('2d')
  const { width, height } = canvas
  const style = getComputedStyle(document.documentElement)
  const y = metres => height - 10 - (metres / 5.2) * (height - 20)
  context.strokeStyle = style.getPropertyValue('--line')
  context.lineWidth = 2
  for (const metres of [1, 2, 3, 4, 5]) {
    context.beginPath()
    context.moveTo(0, y(metres))
    context.lineTo(width, y(metres))
    context.stroke()
  }
  context.strokeStyle = style.getPropertyValue('--deep')
  context.lineWidth = 1.5
  context.beginPath()
  hours.forEach(({ height: metres }, hour) => {
    context.lineTo((hour / (hours.length - 1)) * width, y(metres))
  })
  context.stroke()
}

// The checksum of the heights, by a WebAssembly module of a few hundred bytes.
async function checksum(hours) {
  const answer = await fetch('checksum.wasm')
  const { instance } = await WebAssembly.instantiate(await answer.arrayBuffer())
  const { memory, adler32 } = instance.exports
  const bytes = new TextEncoder().encode(hours.map(hour => hour.height).join())
  new Uint8Array(memory.buffer).set(bytes)
  const sum = (adler32(0, bytes.length) >>> 0).toString(16).padStart(8, '0')
  document.getElementById('checksum').textContent = `Its Adler-32, by checksum.wasm: ${sum}.`
}

async function start() {
  const { hours } = await (await fetch('tides.json')).json()
  draw(hours)
  await checksum(hours)
}

start()
  .catch(error => { document.getElementById('checksum').textContent = String(error) })
  // A little later, when everything that the page shows has arrived.
  .finally(() => setTimeout(showSavings, 100))
