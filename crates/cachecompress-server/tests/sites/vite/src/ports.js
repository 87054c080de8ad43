import "./ports.css";

const ports = ["brest", "cuxhaven", "port-v1.2"];

export async function render(port) {
  if (port) {
    const answer = await fetch(`/data/${port}.json`);
    const { name, heights } = await answer.json();
    return `<h1>${name}</h1><p class="heights">${heights.join(", ")}</p><a href="/ports">All ports</a>`;
  }
  const links = ports.map((port) => `<li><a href="/ports/${port}">${port}</a></li>`);
  return `<h1>Ports</h1><ul class="ports">${links.join("")}</ul>`;
}
