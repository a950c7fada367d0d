import Foundation

/// Says on standard error how far a long job is, how fast and how much longer: one line that renews
/// itself on a terminal, plain lines now and then otherwise.
public final class ProgressMeter {
  /// Where the lines go.
  public enum Style: Sendable {
    /// One line, renewed in place.
    case live
    /// A new line every few seconds.
    case plain
    case silent

    /// ``live`` if standard error is a terminal.
    public static var standard: Style { isatty(STDERR_FILENO) == 1 ? .live : .plain }
  }

  private let label: String
  private let unit: String
  private let total: Int
  private let style: Style
  private let write: (String) -> Void
  private let now: () -> Double
  private let started: Double
  private var spoken: Double
  private var done = 0
  private var lineIsOpen = false

  /// `label` and `unit` as in "packing: 512 of 2048 images".
  public convenience init(label: String, unit: String, total: Int, style: Style = .standard) {
    self.init(
      label: label, unit: unit, total: total, style: style,
      write: { FileHandle.standardError.write(Data($0.utf8)) },
      now: { ProcessInfo.processInfo.systemUptime })
  }

  init(
    label: String, unit: String, total: Int, style: Style, write: @escaping (String) -> Void,
    now: @escaping () -> Double
  ) {
    self.label = label
    self.unit = unit
    self.total = total
    self.style = style
    self.write = write
    self.now = now
    started = now()
    spoken = started
  }

  /// Reports `done` of the total.
  public func advance(to done: Int) {
    self.done = done
    let time = now()
    let pause: Double = style == .live ? 0.1 : 5
    guard style != .silent, time - spoken >= pause else { return }
    spoken = time
    speak(time)
  }

  /// The last line, with the time that all took.
  public func finish() {
    guard style != .silent else { return }
    speak(now(), isLast: true)
    if lineIsOpen { write("\n") }
    lineIsOpen = false
  }

  /// Clears a live line so that something else can be written.
  public func interrupt() {
    if lineIsOpen { write("\r\u{1B}[K") }
    lineIsOpen = false
  }

  private func speak(_ time: Double, isLast: Bool = false) {
    let elapsed = max(time - started, 1e-6)
    let rate = Double(done) / elapsed
    var text = "\(label): \(done) of \(total) \(unit), \(ProgressMeter.short(rate)) \(unit)/s"
    if isLast {
      text += ", took \(ProgressMeter.duration(elapsed))"
    } else if done > 0 {
      text += ", \(ProgressMeter.duration(Double(total - done) / rate)) left"
    }
    if style == .live {
      write("\r\(text)\u{1B}[K")
      lineIsOpen = true
    } else {
      write(text + "\n")
    }
  }

  /// Three significant digits or so: 0.42, 8.1, 130.
  static func short(_ value: Double) -> String {
    value >= 100 || value == 0
      ? String(Int(value.rounded()))
      : String(format: value >= 1 ? "%.1f" : "%.2f", value)
  }

  /// 42 s, 3 min 05 s, 2 h 07 min.
  static func duration(_ seconds: Double) -> String {
    let whole = Int(max(0, seconds).rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return String(format: "%d min %02d s", whole / 60, whole % 60) }
    return String(format: "%d h %02d min", whole / 3600, whole % 3600 / 60)
  }
}
