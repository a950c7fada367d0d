import COpenMPI
import Foundations
import Glibc
import Synchronization

/// Ends a job that hangs: when this rank has waited in a collective for longer than the limit, and a
/// rank that has not come to it has done nothing either for so long, it says who came and who did
/// not, with what each was last known to be at, and ends every rank. Likewise when this rank has got
/// on with nothing, wherever it waits, and another was not heard of for so long.
///
/// Two threads, which sleep nearly all of the time, make up a watchdog. One tells the other ranks
/// where this one is, and listens (``StatusExchange``); it may hang with MPI. The other measures, speaks and
/// ends the job; it asks nothing of MPI before the end, and if MPI can't end the job ends the process.
///
/// A rank that is stopped (SIGSTOP), whose link is cut, or that waits for ever, for a disk say, is
/// noticed. One that works long without a collective is left alone as long as it notes its
/// ``RankStatus/progress()``. Time in which the process itself was stopped is not counted.
///
/// Watched are the collectives of ``Communicator/world(needing:)`` and those of all its duplicates
/// together, of which one thread at a time should use one. ``watching(limit:setting:exitStatus:_:)``
/// covers a whole job.
public final class Watchdog: @unchecked Sendable {
  private let rank: Int
  private let hosts: [String]
  private let limit: Double
  private let exitStatus: Int32
  private let setting: String
  private var statuses: StatusExchange

  private struct Known {
    var status = StatusExchange.Status()
    /// When the rank was last heard of, and when it had last done something.
    var heard: Double
    var advanced: Double
  }
  private let known: Mutex<[Known]>

  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private var mayStop = false
  private var threads: [WatchingThread] = []

  /// Starts to watch. Collective.
  ///
  /// - Parameters:
  ///   - limit: seconds; 0: nobody watches.
  ///   - setting: the name of the limit, for the message.
  ///   - exitStatus: of the job that is ended.
  /// - Returns: nil where there is nothing to watch: a single rank, or no limit.
  public init?(
    _ communicator: Communicator, limit: Double, setting: String, exitStatus: Int32
  ) throws(MPIError) {
    guard limit > 0, communicator.size > 1 else { return nil }
    rank = communicator.rank
    self.limit = limit
    self.setting = setting
    self.exitStatus = exitStatus
    hosts = try communicator.allGather(communicator.hostName)
    statuses = StatusExchange(try communicator.duplicate(counter: CollectiveCounter()))
    try statuses.open()
    let now = monotonicSeconds
    known = Mutex(hosts.map { _ in Known(heard: now, advanced: now) })
    mutex = .allocate(capacity: 1)
    changed = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(changed, &attributes)
    pthread_condattr_destroy(&attributes)
    // The threads keep the watchdog.
    threads = [WatchingThread { self.exchange() }, WatchingThread { self.watch() }]
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// Stops watching. Call it before MPI is finalised.
  public func stop() {
    pthread_mutex_lock(mutex)
    mayStop = true
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
    for thread in threads { thread.join() }
    threads = []
    statuses.close()
  }

  // MARK: Telling and listening

  private func exchange() {
    let pause = min(max(limit / 20, 0.05), 5)
    var round: Int64 = 0
    while sleep(pause) {
      round += 1
      let status = ownStatus(round)
      let now = monotonicSeconds
      let table = known.withLock { known in
        Self.take(status, into: &known[rank], now)
        return known.map(\.status)
      }
      do throws(MPIError) {
        try statuses.exchange(table) { heard in
          known.withLock { known in
            for place in known.indices where place != rank {
              Self.take(heard[place], into: &known[place], now)
            }
          }
        }
      } catch {
        // A link has gone. Others may still be heard through their own; if not, they grow silent.
        continue
      }
    }
  }

  private func ownStatus(_ round: Int64) -> StatusExchange.Status {
    let current = RankStatus.current
    return StatusExchange.Status(
      round: round, step: Int64(current.step), phase: Int64(current.phase),
      beats: Int64(current.beats),
      counts: (
        Int64(CollectiveCounter.world.count.load(ordering: .relaxed)),
        Int64(CollectiveCounter.duplicates.count.load(ordering: .relaxed))
      ))
  }

  private static func take(_ status: StatusExchange.Status, into known: inout Known, _ now: Double)
  {
    guard status.round > known.status.round else { return }
    known.heard = now
    if status.isFurther(than: known.status) { known.advanced = now }
    known.status = status
  }

  // MARK: Measuring

  private func watch() {
    let pause = min(max(limit / 20, 0.02), 1)
    var waited = CollectiveCounter.watched.map { _ in (count: 0, seconds: 0.0) }
    var idle = (status: ownStatus(0), seconds: 0.0)
    var last = monotonicSeconds
    while sleep(pause) {
      let now = monotonicSeconds
      // What is more than two pauses is time in which the whole process did not run.
      let passed = min(now - last, 2 * pause)
      last = now
      for (place, counter) in CollectiveCounter.watched.enumerated() {
        let count = counter.count.load(ordering: .relaxed)
        guard counter.isInside.load(ordering: .acquiring), count == waited[place].count else {
          waited[place] = (count, 0)
          continue
        }
        waited[place].seconds += passed
        if waited[place].seconds >= limit { judge(counter, place, waited[place].seconds) }
      }
      let status = ownStatus(0)
      idle = status.isFurther(than: idle.status) ? (status, 0) : (status, idle.seconds + passed)
      if idle.seconds >= limit { judgeSilence(status, idle.seconds) }
    }
  }

  /// What is known of the ranks, seen from this one, which waits.
  private struct Findings {
    /// Ranks that have not come, or have and fell silent.
    var missing: [Int]
    var known: [Known]
    var now: Double

    func idle(_ rank: Int) -> Double { now - known[rank].advanced }
    func silence(_ rank: Int) -> Double { now - known[rank].heard }
  }

  /// - Parameter isMissing: whether a rank has not come.
  private func look(_ isMissing: (Known) -> Bool = { _ in false }) -> Findings {
    let known = known.withLock { $0 }
    let now = monotonicSeconds
    let missing = known.indices.filter {
      $0 != rank && (isMissing(known[$0]) || now - known[$0].heard >= limit)
    }
    return Findings(missing: missing, known: known, now: now)
  }

  /// One rank speaks, the first that still can: the others give it a moment. False if the watchdog
  /// is stopped meanwhile.
  private func takeTurn() -> Bool { sleep(0.6 * Double(min(rank, 5))) }

  /// Ends the job if those who have not come to a collective do nothing, or if all have come and none
  /// gets on.
  private func judge(_ counter: CollectiveCounter, _ place: Int, _ waited: Double) {
    let count = counter.count.load(ordering: .relaxed)
    func isBehind(_ known: Known) -> Bool { known.status.count(place) < Int64(count) }
    func isHopeless(_ findings: Findings) -> Bool {
      if findings.missing.isEmpty {
        return findings.known.indices.allSatisfy { $0 == rank || findings.idle($0) >= limit }
      }
      return findings.missing.contains { findings.idle($0) >= limit }
    }
    guard isHopeless(look(isBehind)), takeTurn() else { return }
    let findings = look(isBehind)
    guard counter.isInside.load(ordering: .acquiring),
      counter.count.load(ordering: .relaxed) == count, isHopeless(findings)
    else { return }
    report(findings, waited, place: "in \(counter.operationName)")
    endJob()
  }

  /// Ends the job if a rank is not heard of any more. This one, which has done nothing since `status`, may
  /// wait for it outside of the collectives that are counted.
  private func judgeSilence(_ status: StatusExchange.Status, _ waited: Double) {
    guard !look().missing.isEmpty, takeTurn() else { return }
    let findings = look()
    guard !findings.missing.isEmpty, !ownStatus(0).isFurther(than: status) else { return }
    report(findings, waited, place: "without getting on")
    endJob()
  }

  /// A few lines tell enough, however many ranks there are.
  private static let mostDescribed = 16

  private func report(_ findings: Findings, _ waited: Double, place: String) {
    func describe(_ rank: Int) -> String {
      let status = findings.known[rank].status
      let phase = RankStatus.Phase(rawValue: Int(status.phase)).map { "\($0)" } ?? "?"
      let step = status.step > 0 ? "step \(status.step), " : ""
      return "rank \(rank) on \(hosts[rank]): \(step)\(phase)"
    }
    // Who speaks but has not come may be held up in an earlier collective by those who are silent.
    let silent = findings.missing.filter { findings.silence($0) >= limit / 2 }
    let missing = silent.isEmpty ? findings.missing : silent
    let whose =
      missing.isEmpty
      ? "all ranks have come, but it does not end" : "rank \(Self.list(missing)) is missing"
    var text =
      "rfm: rank \(rank): waited \(shown(seconds: waited)) \(place) (\(setting)): \(whose); the "
      + "job ends here\n"
    let arrived = hosts.indices.filter { !findings.missing.contains($0) }
    text += "rfm: watchdog: arrived: rank \(Self.list(arrived))\n"
    text += "rfm: watchdog: \(describe(rank))\n"
    let behind = findings.missing.filter { !missing.contains($0) }
    for rank in (missing + behind).prefix(Self.mostDescribed) {
      text +=
        "rfm: watchdog: \(missing.contains(rank) ? "missing" : "behind"): \(describe(rank)); "
        + "last heard of \(shown(seconds: findings.silence(rank))) ago, last got on "
        + "\(shown(seconds: findings.idle(rank))) ago\n"
    }
    writeToStandardError(text)
  }

  /// "0-2, 5" of 0, 1, 2, 5.
  package static func list(_ ranks: [Int]) -> String {
    var ranges: [ClosedRange<Int>] = []
    for rank in ranks {
      if let last = ranges.last, last.upperBound == rank - 1 {
        ranges[ranges.count - 1] = last.lowerBound...rank
      } else {
        ranges.append(rank...rank)
      }
    }
    return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
      .joined(separator: ", ")
  }

  /// Seconds that MPI has to end the job before this process ends itself.
  private static let grace: UInt32 = 4

  private func endJob() -> Never {
    let status = exitStatus
    WatchingThread {
      _ = Glibc.sleep(Self.grace)
      _exit(status)
    }.detach()
    rfm_mpi_abort(exitStatus)
    _exit(exitStatus)
  }

  /// Returns false at once when the watchdog is stopped.
  private func sleep(_ seconds: Double) -> Bool {
    let end = monotonicSeconds + seconds
    var time = timespec(tv_sec: Int(end), tv_nsec: Int((end - Double(Int(end))) * 1e9))
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while !mayStop {
      if pthread_cond_timedwait(changed, mutex, &time) == ETIMEDOUT { break }
    }
    return !mayStop
  }
}
