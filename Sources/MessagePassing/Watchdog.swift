import COpenMPI
import Glibc
import Synchronization

/// Ends a job that hangs: when this rank has waited in a collective for longer than the limit, and a
/// rank that has not come to it has done nothing either for so long, it says who came and who did
/// not, with what each was last known to be at, and ends every rank.
///
/// Two threads, which sleep nearly all of the time, make up a watchdog. One tells the other ranks
/// where this one is, and listens (``Gossip``); it may hang with MPI. The other measures, speaks and
/// ends the job; it asks nothing of MPI before the end, and if MPI can't end the job ends the process.
///
/// A rank that is stopped (SIGSTOP), whose link is cut, or that waits for ever, for a disk say, is
/// noticed. One that works long without a collective is left alone as long as it notes its
/// ``Whereabouts/progress()``. Time in which the process itself was stopped is not counted.
///
/// Watched are the collectives of ``Communicator/world(needing:)`` and of its first duplicates.
public final class Watchdog: @unchecked Sendable {
  private let rank: Int
  private let hosts: [String]
  private let limit: Double
  private let exitStatus: Int32
  private let setting: String
  private var gossip: Gossip

  private struct Known {
    var word = Gossip.Word()
    /// When the rank was last heard of, and when it had last done something.
    var heard: Double
    var advanced: Double
  }
  private let known: Mutex<[Known]>

  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private var mayStop = false
  private var threads: [pthread_t] = []

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
    gossip = Gossip(try communicator.duplicate(arrivals: Arrivals()))
    try gossip.open()
    let now = Self.now
    known = Mutex(hosts.map { _ in Known(heard: now, advanced: now) })
    mutex = .allocate(capacity: 1)
    changed = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(changed, &attributes)
    pthread_condattr_destroy(&attributes)
    threads = [start { $0.exchange() }, start { $0.watch() }]
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
    for thread in threads { pthread_join(thread, nil) }
    threads = []
    gossip.close()
  }

  // MARK: Telling and listening

  private func exchange() {
    let pause = min(max(limit / 20, 0.05), 5)
    var round: Int64 = 0
    while sleep(pause) {
      round += 1
      let word = ownWord(round)
      let now = Self.now
      let table = known.withLock { known in
        Self.take(word, into: &known[rank], now)
        return known.map(\.word)
      }
      do throws(MPIError) {
        try gossip.exchange(table) { heard in
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

  private func ownWord(_ round: Int64) -> Gossip.Word {
    let current = Whereabouts.current
    let watched = Arrivals.allWatched
    func count(_ place: Int) -> Int64 {
      watched.indices.contains(place)
        ? Int64(watched[place].count.load(ordering: .relaxed)) : 0
    }
    return Gossip.Word(
      round: round, step: Int64(current.step), phase: Int64(current.phase),
      beats: Int64(current.beats), counts: (count(0), count(1), count(2), count(3)))
  }

  private static func take(_ word: Gossip.Word, into known: inout Known, _ now: Double) {
    guard word.round > known.word.round else { return }
    known.heard = now
    if word.isFurther(than: known.word) { known.advanced = now }
    known.word = word
  }

  // MARK: Measuring

  private func watch() {
    let pause = min(max(limit / 20, 0.02), 1)
    var waited = (0..<Arrivals.mostWatched).map { _ in (count: 0, seconds: 0.0) }
    var last = Self.now
    while sleep(pause) {
      let now = Self.now
      // What is more than two pauses is time in which the whole process did not run.
      let passed = min(now - last, 2 * pause)
      last = now
      // Communicators may have been added.
      for (place, arrivals) in Arrivals.allWatched.enumerated() {
        let count = arrivals.count.load(ordering: .relaxed)
        guard arrivals.isInside.load(ordering: .acquiring), count == waited[place].count else {
          waited[place] = (count, 0)
          continue
        }
        waited[place].seconds += passed
        if waited[place].seconds >= limit { judge(arrivals, place, waited[place].seconds) }
      }
    }
  }

  /// What is known of the ranks, seen from a collective that this one waits in.
  private struct Findings {
    /// Ranks that have not come, or have and fell silent.
    var missing: [Int]
    var known: [Known]
    var now: Double

    func idle(_ rank: Int) -> Double { now - known[rank].advanced }
  }

  private func findings(_ arrivals: Arrivals, _ place: Int) -> Findings {
    let known = known.withLock { $0 }
    let count = Int64(arrivals.count.load(ordering: .relaxed))
    let now = Self.now
    let missing = known.indices.filter {
      $0 != rank && (known[$0].word.count(place) < count || now - known[$0].heard >= limit)
    }
    return Findings(missing: missing, known: known, now: now)
  }

  /// Ends the job if those who have not come do nothing, or if all have come and none gets on.
  private func judge(_ arrivals: Arrivals, _ place: Int, _ waited: Double) {
    func isHopeless(_ findings: Findings) -> Bool {
      if findings.missing.isEmpty {
        return findings.known.indices.allSatisfy { $0 == rank || findings.idle($0) >= limit }
      }
      return findings.missing.contains { findings.idle($0) >= limit }
    }
    guard isHopeless(findings(arrivals, place)) else { return }
    // One rank speaks, the first that still can: the others give it a moment.
    let count = arrivals.count.load(ordering: .relaxed)
    guard sleep(0.6 * Double(min(rank, 5))) else { return }
    let findings = findings(arrivals, place)
    guard arrivals.isInside.load(ordering: .acquiring),
      arrivals.count.load(ordering: .relaxed) == count, isHopeless(findings)
    else { return }
    report(findings, operation: arrivals.operationName, waited)
    endJob()
  }

  /// A few lines tell enough, however many ranks there are.
  private static let mostDescribed = 16

  private func report(_ findings: Findings, operation: String, _ waited: Double) {
    func seconds(_ value: Double) -> String { "\((value * 10).rounded() / 10) s" }
    func place(_ rank: Int) -> String {
      let word = findings.known[rank].word
      let phase = Whereabouts.Phase(rawValue: Int(word.phase)).map { "\($0)" } ?? "?"
      return "rank \(rank) on \(hosts[rank]): step \(word.step), \(phase)"
    }
    let whose =
      findings.missing.isEmpty
      ? "all ranks have come, but it does not end"
      : "rank \(Self.list(findings.missing)) is missing"
    var text =
      "rfm: rank \(rank): waited \(seconds(waited)) in \(operation) (\(setting)): \(whose); the job "
      + "ends here\n"
    let arrived = hosts.indices.filter { !findings.missing.contains($0) }
    text += "rfm: watchdog: arrived: rank \(Self.list(arrived))\n"
    text += "rfm: watchdog: \(place(rank))\n"
    for rank in findings.missing.prefix(Self.mostDescribed) {
      let known = findings.known[rank]
      text +=
        "rfm: watchdog: missing: \(place(rank)); last heard of "
        + "\(seconds(findings.now - known.heard)) ago, last got on "
        + "\(seconds(findings.idle(rank))) ago\n"
    }
    text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }

  /// "0-2, 5" of 0, 1, 2, 5.
  static func list(_ ranks: [Int]) -> String {
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
    _ = start { watchdog in
      _ = Glibc.sleep(Self.grace)
      _exit(watchdog.exitStatus)
    }
    rfm_mpi_abort(exitStatus)
    _exit(exitStatus)
  }

  // MARK: Threads

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  /// Returns false at once when the watchdog is stopped.
  private func sleep(_ seconds: Double) -> Bool {
    let end = Self.now + seconds
    var time = timespec(tv_sec: Int(end), tv_nsec: Int((end - Double(Int(end))) * 1e9))
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while !mayStop {
      if pthread_cond_timedwait(changed, mutex, &time) == ETIMEDOUT { break }
    }
    return !mayStop
  }

  private final class Work {
    let watchdog: Watchdog
    let body: (Watchdog) -> Void
    init(_ watchdog: Watchdog, _ body: @escaping (Watchdog) -> Void) {
      self.watchdog = watchdog
      self.body = body
    }
  }

  /// The thread keeps the watchdog.
  private func start(_ body: @escaping (Watchdog) -> Void) -> pthread_t {
    var thread = pthread_t()
    let created = pthread_create(
      &thread, nil,
      { argument in
        let work = Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue()
        work.body(work.watchdog)
        return nil
      }, Unmanaged.passRetained(Work(self, body)).toOpaque())
    precondition(
      created == 0, "the system refuses another thread: \(String(cString: strerror(created)))")
    return thread
  }
}
