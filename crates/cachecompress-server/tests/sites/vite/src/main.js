import "./style.css";
import mark from "./mark.png";

const routes = [
  [/^\/$/, async () => `<h1>Tides</h1><img src="${mark}" alt="a wave">`],
  [/^\/ports(?:\/([\w.-]+))?$/, async (port) => (await import("./ports.js")).render(port)],
  [/^\/about$/, async () => (await import("./about.js")).render()],
];

async function show() {
  const path = location.pathname;
  const [pattern, render] = routes.find(([pattern]) => pattern.test(path)) ?? [/$/, async () => "<h1>No such page</h1>"];
  document.querySelector("#page").innerHTML = await render(path.match(pattern)[1]);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || link.origin !== location.origin || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  show();
});
addEventListener("popstate", show);
show();
