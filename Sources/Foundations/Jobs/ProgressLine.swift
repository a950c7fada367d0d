import Glibc
import Synchronization

/// How far a long job has come, told on standard error.
///
/// On a terminal it is one line that is written over again and again:
///
///     step 1200/500000  loss 0.4211  4.31 images/s  5 h 12 min left
///
/// Under `mpirun` that is so where RFM_TERMINAL has the terminal's columns (`launch/local` sets it),
/// but for PMIx 5, which passes on whole lines only.
/// Elsewhere (a file, a pipe) it is a plain line every few seconds. Both are limited in
/// rate, so ``update(_:_:)`` may be called as often as one likes. Only one rank should have one.
public final class ProgressLine: Sendable {
  /// What writes the text, what tells the time in seconds, and how.
  struct Output: Sendable {
    var isTerminal: Bool
    /// Columns of the terminal, asked for at every line.
    var width: @Sendable () -> Int
    var write: @Sendable (String) -> Void
    var now: @Sendable () -> Double
    /// Seconds between lines.
    var interval: Double

    /// Columns of the terminal at the other end of mpirun's pipe, as launch/local says; nil: there is none, or
    /// Open MPI 5 is between, whose PMIx passes on whole lines only.
    static func distantWidth(_ terminal: String?, pmix: String?) -> Int? {
      let version = pmix?.split(separator: ".").first.flatMap { Int($0) } ?? 0
      return version >= 5 ? nil : terminal.flatMap { Int($0) }
    }

    static let standardError: Output = {
      func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
      let distant = distantWidth(variable("RFM_TERMINAL"), pmix: variable("PMIX_VERSION"))
      let isTerminal =
        (isatty(STDERR_FILENO) == 1 || distant != nil)
        && getenv("TERM").map { strcmp($0, "dumb") != 0 } ?? false
      let start = ContinuousClock.now
      return Output(
        isTerminal: isTerminal,
        width: {
          var size = winsize()
          return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
            ? Int(size.ws_col) : max(20, distant ?? 80)
        },
        write: writeToStandardError,
        now: { (ContinuousClock.now - start).seconds },
        interval: isTerminal ? 0.1 : 10)
    }()
  }

  private let label: String
  private let total: Int?
  private let start: Int
  private let items: (name: String, perUnit: Double)?
  private let output: Output
  private let state: Mutex<State>

  private struct State {
    var done: Int
    var detail = ""
    /// What was done when the detail was made.
    var detailDone = -1
    /// When what was done: for the rate over the last moments.
    var history: [(time: Double, done: Int)]
    var lastShown: Double?
    var shownDone = -1
    /// Columns that the terminal's line takes now.
    var lineLength = 0
    var isFinished = false
  }

  /// - Parameters:
  ///   - label: what is counted, "step".
  ///   - total: how many there will be, if it is known.
  ///   - start: how many were done before, when a job is continued.
  ///   - items: what the rate is told in, and how many of them one unit holds; nil: the rate is in
  ///     units of `label`.
  public convenience init(
    _ label: String, total: Int?, start: Int = 0,
    items: (name: String, perUnit: Double)? = nil
  ) {
    self.init(label, total: total, start: start, items: items, output: .standardError)
  }

  init(
    _ label: String, total: Int?, start: Int = 0,
    items: (name: String, perUnit: Double)? = nil, output: Output
  ) {
    self.label = label
    self.total = total
    self.start = start
    self.items = items
    self.output = output
    state = Mutex(State(done: start, history: [(output.now(), start)]))
  }

  /// Tells that `done` units are done.
  ///
  /// - Parameter detail: what else is worth knowing, "loss 0.4211"; made only if it is shown
  ///   now, or may be shown at the end.
  public func update(_ done: Int, _ detail: @autoclosure () -> String = "") {
    state.withLock { state in
      guard !state.isFinished else { return }
      let now = output.now()
      state.done = done
      // A sample every half second over the last twenty.
      if let last = state.history.last, now - last.time >= 0.5 || state.history.count == 1 {
        state.history.append((now, done))
        while state.history.count > 2, now - state.history[1].time > 20 {
          state.history.removeFirst()
        }
      }
      let isDue = state.lastShown.map { now - $0 >= output.interval } ?? true
      guard isDue || done == total else { return }
      state.detail = detail()
      state.detailDone = done
      if isDue { show(&state, now: now) }
    }
  }

  /// Writes a line of its own, above the line of progress. It may name files and folders.
  public func message(_ text: String) {
    state.withLock { state in
      erase(&state)
      output.write(printable(text, limit: 4000) + "\n")
      if output.isTerminal, state.lastShown != nil, !state.isFinished {
        show(&state, now: output.now())
      }
    }
  }

  /// Gives the terminal's line free, so that something else can be written.
  public func interrupt() { state.withLock { erase(&$0) } }

  /// Writes the last state, once, and ends the line.
  public func finish() {
    state.withLock { state in
      guard !state.isFinished else { return }
      // On a terminal a detail is a moment old at most; elsewhere it may be long out of date.
      if state.detailDone != state.done, !output.isTerminal { state.detail = "" }
      if state.shownDone != state.done || output.isTerminal {
        show(&state, now: output.now())
      }
      if output.isTerminal, state.lineLength > 0 { output.write("\n") }
      state.lineLength = 0
      state.isFinished = true
    }
  }

  private func erase(_ state: inout State) {
    guard output.isTerminal, state.lineLength > 0 else { return }
    output.write("\r" + String(repeating: " ", count: state.lineLength) + "\r")
    state.lineLength = 0
  }

  private func show(_ state: inout State, now: Double) {
    state.lastShown = now
    state.shownDone = state.done
    let text = line(state, now: now)
    guard output.isTerminal else {
      output.write(text + "\n")
      return
    }
    // The last column stays free: some terminals begin a new line when it is written to.
    let shown = String(text.prefix(Swift.max(1, output.width() - 1)))
    let rest = Swift.max(0, state.lineLength - shown.count)
    output.write("\r" + shown + String(repeating: " ", count: rest))
    state.lineLength = shown.count
  }

  private func line(_ state: State, now: Double) -> String {
    var parts = ["\(label) \(state.done)" + (total.map { "/\($0)" } ?? "")]
    if !state.detail.isEmpty { parts.append(state.detail) }
    let first = state.history[0]
    let elapsed = now - first.time
    if elapsed > 0, state.done > first.done {
      let rate = Double(state.done - first.done) / elapsed
      parts.append(
        "\(significant(rate * (items?.perUnit ?? 1))) \(items?.name ?? label + "s")/s")
      if let total, total > state.done {
        parts.append("\(Self.duration(Double(total - state.done) / rate)) left")
      }
    }
    return parts.joined(separator: "  ")
  }

  /// Seconds in words: "45 s", "3 min 20 s", "5 h 12 min", "2 d 3 h".
  public static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e12 else { return "for ever" }
    let whole = Int(seconds.rounded(.up))
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60)
    if days > 0 { return "\(days) d \(hours) h" }
    if hours > 0 { return "\(hours) h \(minutes) min" }
    if minutes > 0 { return "\(minutes) min \(whole % 60) s" }
    return "\(whole) s"
  }
}

/// `value` with `digits` digits after the point.
public func fixed(_ value: Double, _ digits: Int) -> String {
  guard value.isFinite, value.magnitude < 1e12 else { return "\(value)" }
  var scale = 1
  for _ in 0..<digits { scale *= 10 }
  let scaled = Int((value.magnitude * Double(scale)).rounded())
  let fraction = String(scaled % scale)
  let sign = value < 0 && scaled > 0 ? "-" : ""
  let whole = "\(sign)\(scaled / scale)"
  return digits == 0
    ? whole : "\(whole).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
}

/// `value` with about three digits that count: "1234", "12.3", "1.23", "0.0123".
public func significant(_ value: Double) -> String {
  guard value.isFinite, value != 0 else { return "\(value)" }
  let magnitude = Int(log10(value.magnitude).rounded(.down))
  return fixed(value, Swift.min(9, Swift.max(0, 2 - magnitude)))
}
