#!/usr/bin/env node
// Runs the program of this platform, which is an optional dependency of its own.
"use strict";

const { spawn } = require("node:child_process");
const { optionalDependencies } = require("../package.json");

function find() {
  const name = `@cachecompress/${process.platform}-${process.arch}`;
  if (!(name in optionalDependencies)) {
    const known = Object.keys(optionalDependencies).map((known) => known.split("/")[1]);
    throw new Error(`there is no program for ${process.platform}-${process.arch}, only for ${known.join(", ")}`);
  }
  const file = process.platform === "win32" ? "cachecompress.exe" : "cachecompress";
  try {
    return require.resolve(`${name}/bin/${file}`);
  } catch {
    throw new Error(`the package ${name} is missing: install without --omit=optional and --no-optional`);
  }
}

function fail(error) {
  console.error(`cachecompress: ${error.message}`);
  process.exit(1);
}

function run(program) {
  const isWindows = process.platform === "win32";
  // A terminal sends Ctrl-C to a whole process group, and the program ends at once at its second one. In a
  // group of its own it gets each signal from here. Windows has no such groups.
  const child = spawn(program, process.argv.slice(2), { stdio: "inherit", detached: !isWindows });
  child.on("error", fail);
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) {
    process.on(signal, () => {
      if (!isWindows) child.kill(signal);
    });
  }
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    signals.forEach((name) => process.removeAllListeners(name));
    process.kill(process.pid, signal);
  });
}

try {
  run(find());
} catch (error) {
  fail(error);
}
