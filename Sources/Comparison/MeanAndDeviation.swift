/// Mean and spread of a figure over repetitions.
public struct MeanAndDeviation: Codable, Equatable, Sendable {
  /// Repetitions.
  public var n: Int
  public var mean: Double
  /// Sample standard deviation, with n − 1; nil for a single repetition.
  public var standardDeviation: Double?

  enum CodingKeys: String, CodingKey {
    case n, mean
    case standardDeviation = "sd"
  }

  /// - Returns: nil without values.
  public init?(_ values: [Double]) {
    guard !values.isEmpty else { return nil }
    n = values.count
    let mean = values.reduce(0, +) / Double(n)
    self.mean = mean
    standardDeviation =
      n < 2
      ? nil
      : (values.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(n - 1)).squareRoot()
  }
}

/// Differences of a figure between two methods, paired by seed: what both had in common (weights at
/// the start, images, order, crops) cancels out.
public struct PairedDifference: Codable, Equatable, Sendable {
  /// Of the differences, first method less second.
  public var spread: MeanAndDeviation
  /// In how many pairs the first is higher, and in how many lower.
  public var higher: Int
  public var lower: Int
  /// The interval that holds the mean difference with 95 % confidence, by Student's t with n − 1
  /// degrees of freedom, which takes the differences for normally distributed; nil for one pair.
  public var interval: [Double]?

  /// - Returns: nil without pairs.
  public init?(_ pairs: [(first: Double, second: Double)]) {
    let differences = pairs.map { $0.first - $0.second }
    guard let spread = MeanAndDeviation(differences) else { return nil }
    self.spread = spread
    higher = differences.count { $0 > 0 }
    lower = differences.count { $0 < 0 }
    interval = spread.standardDeviation.map {
      let half =
        studentQuantile(degrees: spread.n - 1) * $0 / Double(spread.n).squareRoot()
      return [spread.mean - half, spread.mean + half]
    }
  }

  /// Whether the interval leaves 0 out; false where there is none.
  public var isClear: Bool { interval.map { $0[0] > 0 || $0[1] < 0 } ?? false }
}

/// The 97.5 % quantile of Student's t distribution.
///
/// Exact values for few degrees of freedom; the expansion in 1/ν about the normal quantile (Fisher
/// and Cornish 1960) beyond, where it is right to five digits.
func studentQuantile(degrees: Int) -> Double {
  precondition(degrees > 0, "Student's t has at least one degree of freedom, got \(degrees)")
  let exact = [
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157,
    2.228139, 2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922,
    2.093024, 2.085963,
  ]
  if degrees <= exact.count { return exact[degrees - 1] }
  let z = 1.9599639845400545
  let (z3, z5, z7) = (z * z * z, z * z * z * z * z, z * z * z * z * z * z * z)
  let n = Double(degrees)
  return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n)
    + (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n)
}
