// The samples of the last hour, and the rates that come of their totals.

const OUTCOMES = ["hit", "miss", "collapsed", "bypass", "identity", "not_modified", "error"];
// Outcomes that the cache decides.
export const OF_CACHE = OUTCOMES.slice(0, 4);
const HOUR = 3600;

// The counters of a server that has just started.
const NOTHING = {
  requests: {}, bypasses: {}, sent_bytes: 0, source_bytes: 0, encode_cpu_seconds: 0, evictions: 0,
  damaged_entries: 0, second_pass: { cpu_seconds: 0 },
};

const allRequests = (sample) => OUTCOMES.reduce((sum, name) => sum + (sample.requests[name] ?? 0), 0);
const COUNTERS = [
  allRequests,
  (sample) => sample.sent_bytes,
  (sample) => sample.source_bytes,
  (sample) => sample.encode_cpu_seconds,
  (sample) => sample.evictions,
];

// Whether the counters of `sample` are of another start of the server than those of `before`.
export function isRestart(before, sample) {
  return COUNTERS.some((counter) => counter(sample) < counter(before));
}

export class History {
  // Seconds between two samples.
  interval = 5;
  // Each is a sample with its rates since the one before, the oldest first.
  points = [];
  // The start of the server that the newest samples come from, in Unix seconds.
  #started = null;

  // Whether the server was restarted after the newest point.
  #isRestarted = false;

  // Takes the history of a server that started at `started`. Older points of this page stay.
  load({ interval_seconds: interval, samples }, started) {
    this.interval = interval;
    const isAnother = this.#started !== null && started - this.#started > 1;
    this.#started = started;
    if (isAnother) {
      this.#isRestarted = this.points.length > 0;
    } else if (samples.length > 0) {
      // The server knows all of this time, and the page may have missed some.
      this.points = this.points.filter((point) => point.at < samples[0].at);
    }
    samples.forEach((sample) => this.push(sample));
  }

  // Adds a sample as it comes.
  push(sample) {
    const last = this.points.at(-1);
    if (last !== undefined && sample.at <= last.at) return;
    const restart = last !== undefined && (this.#isRestarted || isRestart(last.sample, sample));
    this.#isRestarted = false;
    this.points.push(this.#point(sample, restart ? undefined : last, restart));
    while (sample.at - this.points[0].at > HOUR) this.points.shift();
  }

  #point(sample, last, restart) {
    let before = last?.sample;
    // All counters were 0 at the start.
    if (before === undefined && this.#started !== null && sample.at > this.#started
      && sample.at - this.#started < 2.5 * this.interval) {
      before = { ...NOTHING, at: this.#started };
    }
    const point = {
      at: sample.at, sample, restart,
      // Whether no samples are missing before this one.
      joined: last !== undefined && sample.at - last.at < 2.5 * this.interval,
      p50: sample.p50, p95: sample.p95, p99: sample.p99,
      connections: sample.connections, size: sample.entry_bytes,
      bypasses: {},
    };
    if (before !== undefined) Object.assign(point, rates(before, sample));
    return point;
  }

  // The points of the last `seconds`.
  since(seconds) {
    const from = (this.points.at(-1)?.at ?? 0) - seconds;
    return this.points.filter((point) => point.at >= from);
  }
}

// The rates between two samples of one server, per second, and the counts of bypasses.
export function rates(before, sample) {
  const seconds = sample.at - before.at;
  const per = (counter) => (counter(sample) - counter(before)) / seconds;
  const of = (name) => per((one) => one.requests[name] ?? 0);
  const rate = Object.fromEntries(OUTCOMES.map((name) => [name, of(name)]));
  const bypasses = Object.entries(sample.bypasses)
    .map(([reason, all]) => [reason, all - (before.bypasses[reason] ?? 0)]);
  return {
    ...rate,
    seconds,
    requests: per(allRequests),
    sent: per((one) => one.sent_bytes),
    source: per((one) => one.source_bytes),
    saved: per((one) => one.source_bytes - one.sent_bytes),
    cpu: per((one) => one.encode_cpu_seconds),
    evictions: per((one) => one.evictions),
    damaged: per((one) => one.damaged_entries),
    secondCpu: per((one) => one.second_pass.cpu_seconds),
    bypasses: Object.fromEntries(bypasses),
    ...(sample.tier && tierRates(before.tier, sample.tier, seconds)),
  };
}

// The rates of the shared store, which has no `before` at the start of the server.
function tierRates(before, after, seconds) {
  const more = (of) => of(after) - (before ? of(before) : 0);
  const per = (of) => more(of) / seconds;
  const requests = (name) => per((tier) => tier.requests[name]);
  const answers = more((tier) => tier.answers);
  return {
    tierHit: requests("hit"),
    tierMiss: requests("miss"),
    tierFailed: requests("error") + requests("timeout") + requests("disproved"),
    tierSkipped: requests("skipped"),
    // The mean.
    tierAnswer: answers > 0 ? more((tier) => tier.answer_seconds) / answers : null,
    tierStored: per((tier) => tier.uploads.stored),
    tierUnstored: per((tier) => tier.uploads.failed),
    tierDropped: per((tier) => tier.uploads.dropped),
    leaseAcquired: per((tier) => tier.leases.acquired),
    leaseWaited: per((tier) => tier.leases.waited),
    leaseTakenOver: per((tier) => tier.leases.taken_over),
    leaseLost: per((tier) => tier.leases.lost),
    leaseAlone: per((tier) => tier.leases.alone),
    tierSaved: per((tier) => tier.cpu_seconds_saved),
  };
}
