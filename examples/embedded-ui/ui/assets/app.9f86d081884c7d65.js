// The views of the application, by their paths.
const views = {
  '/': ['Home', 'The files of this page were compressed when the program was built.'],
  '/notes': ['Notes', 'Each file is there as it is, and in the codings br, zstd and gzip.'],
  '/about': ['About', 'The program has no encoder. It sends what the build has made.'],
}

// Draws the view of the present path into the page, if the page has room for one.
function draw() {
  const view = document.getElementById('view')
  if (!view) return
  const [title, text] = views[location.pathname] ?? ['Nothing here', 'There is no such view.']
  const heading = document.createElement('h2')
  const paragraph = document.createElement('p')
  heading.textContent = title
  paragraph.textContent = text
  view.replaceChildren(heading, paragraph)
}

// Links to views change the path, and load no page.
document.addEventListener('click', (event) => {
  const link = event.target.closest('a')
  if (!link || !(link.pathname in views) || !document.getElementById('view')) return
  event.preventDefault()
  history.pushState(null, '', link.pathname)
  draw()
})
addEventListener('popstate', draw)

const answer = await fetch('/api/greeting/you')
document.getElementById('greeting').textContent = await answer.text()
draw()
