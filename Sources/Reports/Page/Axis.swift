import Foundation

/// One axis of a plot: which values it spans, and where it is labelled.
public struct Axis: Sendable, Equatable {
  public enum Scale: String, Sendable {
    case linear
    case logarithmic
  }

  /// A labelled value.
  public struct Tick: Sendable, Equatable {
    public var value: Double
    public var label: String
  }

  public let scale: Scale
  /// From one end to the other; the ends differ, and are positive on a logarithmic axis.
  public let range: ClosedRange<Double>
  /// Ascending, all in `range`.
  public let ticks: [Tick]

  /// Where a value lies, 0 at the lower end and 1 at the upper; below 0 or above 1 outside.
  public func position(_ value: Double) -> Double {
    switch scale {
    case .linear: (value - range.lowerBound) / (range.upperBound - range.lowerBound)
    case .logarithmic:
      log10(value / range.lowerBound) / log10(range.upperBound / range.lowerBound)
    }
  }

  /// A linear axis over `values`.
  ///
  /// - Parameters:
  ///   - values: what is to be seen; those that are not finite don't count.
  ///   - includingZero: begin (or end) at 0.
  ///   - atMost: how many ticks.
  ///   - isTight: end at the outermost values, not at the next ticks beyond.
  ///   - whole: ticks at whole numbers only.
  public static func linear(
    over values: some Sequence<Double>, includingZero: Bool = false, atMost: Int = 6,
    isTight: Bool = false, whole: Bool = false
  ) -> Axis {
    var (low, high) = (Double.infinity, -Double.infinity)
    for value in values where value.isFinite {
      low = min(low, value)
      high = max(high, value)
    }
    if low > high { (low, high) = (0, 1) }
    if includingZero { (low, high) = (min(low, 0), max(high, 0)) }
    // The span of the largest doubles is none; nothing that is plotted comes near.
    low = max(low, -1e300)
    high = min(high, 1e300)
    if high - low <= max(abs(high), abs(low)) * 1e-12 {
      let margin = whole ? 1 : low == 0 ? 1 : abs(low) * 0.1
      (low, high) = includingZero && low >= 0 ? (low, high + margin) : (low - margin, high + margin)
    }
    // A tight axis has ticks inside only, and so at most as many as steps.
    let step = step(low, high, intervals: max(2, isTight ? atMost : atMost - 1), whole: whole)
    var first = (low / step).rounded(.down)
    var last = (high / step).rounded(.up)
    if isTight {
      first = (low / step - 1e-9).rounded(.up)
      last = (high / step + 1e-9).rounded(.down)
    } else {
      (low, high) = (first * step, last * step)
    }
    let ticks = stride(from: first, through: last, by: 1).map { index in
      // Index times step, not a sum of steps, and never minus zero.
      let value = index == 0 ? 0 : index * step
      return Tick(value: min(max(value, low), high), label: label(value, step: step))
    }
    return Axis(scale: .linear, range: low...high, ticks: ticks)
  }

  /// A logarithmic axis from a power of ten to another; every power has a tick.
  public static func decades(from low: Int, to high: Int) -> Axis {
    precondition(low < high, "an axis of decades needs at least one, got \(low)…\(high)")
    return Axis(
      scale: .logarithmic, range: pow(10, Double(low))...pow(10, Double(high)),
      ticks: (low...high).map {
        Tick(
          value: pow(10, Double($0)),
          label: (-3...3).contains($0) ? FigureText.short(pow(10, Double($0))) : "1e\($0)")
      })
  }

  /// The smallest of 1, 2, 2.5, 5 times a power of ten that gives at most so many intervals.
  private static func step(
    _ low: Double, _ high: Double, intervals: Int, whole: Bool
  ) -> Double {
    let raw = (high - low) / Double(intervals)
    let power = pow(10, log10(raw).rounded(.down))
    for factor in [1, 2, 2.5, 5, 10] where factor * power >= raw * (1 - 1e-9) {
      let step = factor * power
      if whole && (step < 1 || step != step.rounded()) {
        if step < 1 { return 1 }
        continue
      }
      return step
    }
    return 10 * power
  }

  /// A tick's value with as many digits as tell ticks apart; thousands and millions by letter.
  private static func label(_ value: Double, step: Double) -> String {
    if value == 0 { return "0" }
    let size = abs(value)
    if size >= 1e9 || step < 1e-5 { return String(format: "%.3g", value) }
    if step >= 1e5 && size >= 1e6 || step >= 1e6 { return trimmed(value / 1e6) + "M" }
    if step >= 500 && size >= 1e4 { return trimmed(value / 1e3) + "k" }
    if step >= 1 && step == step.rounded() { return FigureText.count(Int(value.rounded())) }
    let digits = Int((-log10(step)).rounded(.up) + (isHalf(step) ? 1 : 0))
    return String(format: "%.\(max(0, digits))f", value)
  }

  /// Whether the step is 2.5 times a power of ten.
  private static func isHalf(_ step: Double) -> Bool {
    let mantissa = step / pow(10, log10(step).rounded(.down))
    return abs(mantissa - 2.5) < 1e-6
  }

  private static func trimmed(_ value: Double) -> String { String(format: "%.6g", value) }
}
