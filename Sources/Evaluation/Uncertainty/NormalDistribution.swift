import Foundation

/// The standard normal distribution.
enum NormalDistribution {
  /// The probability of at most `x`.
  static func cumulative(_ x: Double) -> Double { erfc(-x / 2.0.squareRoot()) / 2 }

  /// What is not exceeded with probability `p`, 0 < p < 1, to rounding: halving an interval needs no
  /// approximation that one would have to trust.
  static func quantile(_ p: Double) -> Double {
    precondition(p > 0 && p < 1, "a quantile needs 0 < p < 1, got \(p)")
    var (low, high) = (-40.0, 40.0)
    for _ in 0..<100 {
      let middle = (low + high) / 2
      if cumulative(middle) < p { low = middle } else { high = middle }
    }
    return (low + high) / 2
  }
}
