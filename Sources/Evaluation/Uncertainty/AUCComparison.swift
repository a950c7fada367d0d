import Foundation

/// Whether two detectors differ in AUC on the same samples: DeLong's test.
///
/// The variance is that of DeLong, DeLong and Clarke-Pearson ("Comparing the areas under two or more
/// correlated receiver operating characteristic curves", Biometrics 44, 1988), computed by midranks in
/// O(n log n) (Sun and Xu, "Fast implementation of DeLong's algorithm", IEEE Signal Processing Letters 21,
/// 2014). It takes samples for independent, which frames of one video are not: where sources have several
/// samples the sums over sources take their place (Obuchowski, "Nonparametric analysis of clustered ROC
/// curve data", Biometrics 53, 1997), which is the same where every source has one.
public struct AUCComparison: Equatable, Sendable {
  public let first: Double
  public let second: Double
  /// Of the two AUCs: variances, and what they share.
  public let firstVariance: Double
  public let secondVariance: Double
  public let covariance: Double
  /// Samples, and sources that they come from.
  public let samples: Int
  public let sources: Int

  /// First less second.
  public var difference: Double { first - second }
  /// Of the difference.
  public var standardError: Double {
    max(0, firstVariance + secondVariance - 2 * covariance).squareRoot()
  }
  /// The difference in standard errors; nil where both order the samples alike.
  public var z: Double? { standardError > 0 ? difference / standardError : nil }
  /// The probability of a difference as large as this, either way, where there is none.
  public var pValue: Double? { z.map { erfc($0.magnitude / 2.0.squareRoot()) } }
  /// What holds the difference with 95 % confidence.
  public var interval: Interval? {
    guard standardError > 0 else { return nil }
    let half = NormalDistribution.quantile(0.975) * standardError
    return Interval(difference - half, difference + half)
  }

  /// - Parameters:
  ///   - first: a finite score of each sample; `second` likewise.
  ///   - labels: 0 real, 1 fake.
  ///   - sources: the number of each sample's source.
  /// - Returns: nil with less than two sources of a class, which tell nothing of variance.
  public init?(first: [Double], second: [Double], labels: [UInt8], sources: [Int]) {
    precondition(
      first.count == labels.count && second.count == labels.count
        && sources.count == labels.count, "expected as many scores, labels and sources")
    let (a, b) = (
      StructuralComponents(first, labels, sources), StructuralComponents(second, labels, sources)
    )
    guard a.fakeSources > 1, a.realSources > 1 else { return nil }
    (self.first, self.second) = (a.auc, b.auc)
    firstVariance = a.covariance(with: a)
    secondVariance = b.covariance(with: b)
    covariance = a.covariance(with: b)
    samples = labels.count
    self.sources = a.sourceCount
  }
}

/// What each source's fake and real samples add to an AUC, about its mean.
private struct StructuralComponents {
  let auc: Double
  let fakes: Int
  let reals: Int
  /// Sums over each source's fake samples of how many reals each beats, as a share, less the AUC; and over
  /// its real ones of by how many fakes each is beaten.
  private let fakeSums: [Double]
  private let realSums: [Double]
  /// Sources with samples of each class, and of any.
  let fakeSources: Int
  let realSources: Int
  let sourceCount: Int

  init(_ scores: [Double], _ labels: [UInt8], _ sources: [Int]) {
    let all = Self.midranks(scores)
    let fake = labels.indices.filter { labels[$0] == 1 }
    let real = labels.indices.filter { labels[$0] == 0 }
    let amongFake = Self.midranks(fake.map { scores[$0] })
    let amongReal = Self.midranks(real.map { scores[$0] })
    let (m, n) = (Double(fake.count), Double(real.count))
    let wins = fake.indices.map { (all[fake[$0]] - amongFake[$0]) / n }
    let losses = real.indices.map { 1 - (all[real[$0]] - amongReal[$0]) / m }
    let auc = wins.reduce(0, +) / m
    let count = (sources.max() ?? -1) + 1
    var (fakeSums, realSums) = (
      [Double](repeating: 0, count: count), [Double](repeating: 0, count: count)
    )
    for (place, sample) in fake.enumerated() { fakeSums[sources[sample]] += wins[place] - auc }
    for (place, sample) in real.enumerated() { realSums[sources[sample]] += losses[place] - auc }
    self.auc = auc
    (fakes, reals) = (fake.count, real.count)
    (self.fakeSums, self.realSums) = (fakeSums, realSums)
    fakeSources = Set(fake.map { sources[$0] }).count
    realSources = Set(real.map { sources[$0] }).count
    sourceCount = Set(sources).count
  }

  /// Obuchowski's S10/M + S01/N + (S11 + S11ᵀ)/(M N).
  func covariance(with other: StructuralComponents) -> Double {
    func sum(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    func correction(_ count: Int) -> Double { Double(count) / Double(count - 1) }
    let (m, n) = (Double(fakes), Double(reals))
    let mixed = sum(fakeSums, other.realSums) + sum(realSums, other.fakeSums)
    return correction(fakeSources) * sum(fakeSums, other.fakeSums) / (m * m)
      + correction(realSources) * sum(realSums, other.realSums) / (n * n)
      + correction(sourceCount) * mixed / (m * n)
  }

  /// Ranks from 1, ascending, equal values sharing the mean of theirs.
  private static func midranks(_ values: [Double]) -> [Double] {
    let order = values.indices.sorted { values[$0] < values[$1] }
    var ranks = [Double](repeating: 0, count: values.count)
    var start = 0
    while start < order.count {
      var end = start + 1
      while end < order.count, values[order[end]] == values[order[start]] { end += 1 }
      for place in start..<end { ranks[order[place]] = Double(start + 1 + end) / 2 }
      start = end
    }
    return ranks
  }
}
