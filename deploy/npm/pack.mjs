// Packs the npm packages: `node pack.mjs OUT VERSION PLATFORM=PROGRAM…`, such as
// `node pack.mjs out 0.1.0 linux-x64=target/dist/cachecompress`.
//
// Each program gets a package that only its platform installs, and `cachecompress` has them as its
// optional dependencies. npm installs the one that fits, without a script or a download of ours.

import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const REPOSITORY = resolve(HERE, "../..");
const PLATFORMS = ["darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64", "win32-x64"];

const [out, version, ...programs] = process.argv.slice(2);
if (!out || !version || programs.length === 0) {
  console.error("usage: node pack.mjs OUT VERSION PLATFORM=PROGRAM...");
  process.exit(2);
}
const given = programs.map((word) => {
  const [platform, program] = [word.split("=", 1)[0], word.slice(word.indexOf("=") + 1)];
  if (!PLATFORMS.includes(platform) || !word.includes("=")) {
    console.error(`pack.mjs: ${word} is no PLATFORM=PROGRAM, with a platform of ${PLATFORMS.join(", ")}`);
    process.exit(2);
  }
  return { platform, program };
});

const shared = {
  version,
  license: "MIT OR Apache-2.0",
  homepage: "https://github.com/cachecompress/cachecompress",
  repository: { type: "git", url: "git+https://github.com/cachecompress/cachecompress.git" },
};

rmSync(out, { recursive: true, force: true });
for (const { platform, program } of given) {
  const [os, cpu] = platform.split("-");
  const file = os === "win32" ? "cachecompress.exe" : "cachecompress";
  const directory = begin(platform, {
    name: `@cachecompress/${platform}`,
    description: `The program cachecompress for ${platform}`,
    ...shared,
    os: [os],
    cpu: [cpu],
    files: [`bin/${file}`, "LICENSE-*"],
    preferUnplugged: true,
  });
  mkdirSync(join(directory, "bin"));
  copyFileSync(program, join(directory, "bin", file));
  chmodSync(join(directory, "bin", file), 0o755);
  finish(directory);
}
const wrapper = begin("cachecompress", {
  name: "cachecompress",
  description: "A static file server that compresses every file exactly once",
  ...shared,
  keywords: ["brotli", "compression", "gzip", "http-server", "precompress", "static", "zstd"],
  engines: { node: ">=18" },
  bin: { cachecompress: "bin/cachecompress.js" },
  files: ["bin/cachecompress.js", "LICENSE-*", "README.md"],
  optionalDependencies: Object.fromEntries(
    given.map(({ platform }) => [`@cachecompress/${platform}`, version]),
  ),
});
cpSync(join(HERE, "cachecompress"), wrapper, { recursive: true });
finish(wrapper);

function begin(name, manifest) {
  const directory = join(out, name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "package.json"), JSON.stringify(manifest, null, 2) + "\n");
  for (const licence of ["LICENSE-MIT", "LICENSE-APACHE"]) {
    copyFileSync(join(REPOSITORY, licence), join(directory, licence));
  }
  return directory;
}

function finish(directory) {
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const words = ["pack", "--silent", "--pack-destination", resolve(out)];
  execFileSync(npm, words, { cwd: directory, stdio: "inherit" });
}
