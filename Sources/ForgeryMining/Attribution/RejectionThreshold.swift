/// Area under the ROC curve of two samples of scores: the probability that a score of the first
/// sample is higher than one of the second, a tie counting one half (Mann–Whitney).
///
/// - Returns: 0…1; nil if either sample is empty or holds a NaN.
public func areaUnderROC(positives: [Double], negatives: [Double]) -> Double? {
  guard !positives.isEmpty && !negatives.isEmpty else { return nil }
  guard !positives.contains(where: \.isNaN) && !negatives.contains(where: \.isNaN) else {
    return nil
  }
  let positives = positives.sorted()
  let negatives = negatives.sorted()
  var halves = 0  // twice the number of won pairs, ties once
  var below = 0
  var upTo = 0
  for score in positives {
    while below < negatives.count && negatives[below] < score { below += 1 }
    upTo = max(upTo, below)
    while upTo < negatives.count && negatives[upTo] <= score { upTo += 1 }
    halves += below + upTo
  }
  return Double(halves) / 2 / (Double(positives.count) * Double(negatives.count))
}

/// A threshold on an image's largest similarity with any prototype, below which the method that made
/// the image is called unknown.
///
/// Two ways to choose it on validation data:
/// - `accepting(_:known:)` needs images of known methods only, and fixes how many of those are kept;
/// - `balanced(known:unknown:)` also needs images of methods without a prototype. Where there are
///   none, leave each known method out in turn: score its images against
///   `Prototypes.removing(_:)` and take those scores for unknown.
public struct RejectionThreshold: Equatable, Codable, Sendable {
  /// An image is attributed if its largest similarity is at least this.
  public var value: Double
  /// Fraction of the known images that it accepts, on the data it was chosen on.
  public var acceptedKnown: Double
  /// Fraction of the unknown images that it rejects, on the data it was chosen on; nil if there were
  /// none.
  public var rejectedUnknown: Double?
  /// AUROC of known against unknown on that data; nil if there were no unknown images.
  public var areaUnderROC: Double?

  /// Whether an image whose largest similarity is `similarity` is attributed to a method.
  public func accepts(_ similarity: Double) -> Bool { similarity >= value }

  /// The highest threshold that accepts at least the given fraction of the known images.
  ///
  /// - Parameters:
  ///   - fraction: in 0…1, usually 0.95.
  ///   - known: largest similarities of images of known methods.
  /// - Returns: nil if `known` is empty or holds a NaN.
  public static func accepting(_ fraction: Double, known: [Double]) -> RejectionThreshold? {
    guard !known.isEmpty && !known.contains(where: \.isNaN) else { return nil }
    let sorted = known.sorted(by: >)
    // The subtraction keeps 0.95 · 100 = 95.00000000000001-like products from asking for one more.
    let needed = Int((fraction * Double(known.count) - 1e-9).rounded(.up))
    let value = sorted[min(max(needed, 1), known.count) - 1]
    return RejectionThreshold(value: value, known: sorted, unknown: [])
  }

  /// The threshold with the best balanced accuracy, that is the largest sum of the fraction of known
  /// images accepted and the fraction of unknown images rejected; the highest of equally good ones.
  /// Candidates are the scores of known images.
  ///
  /// - Parameters:
  ///   - known: largest similarities of images of known methods.
  ///   - unknown: largest similarities of images of other methods.
  /// - Returns: nil if either is empty or holds a NaN.
  public static func balanced(known: [Double], unknown: [Double]) -> RejectionThreshold? {
    guard !known.isEmpty && !unknown.isEmpty else { return nil }
    guard !known.contains(where: \.isNaN) && !unknown.contains(where: \.isNaN) else { return nil }
    let known = known.sorted(by: >)
    let unknown = unknown.sorted(by: >)
    var best = known[0]
    var bestGain = -Double.infinity
    var wronglyAccepted = 0
    for (index, score) in known.enumerated() {
      // Equal scores are accepted together: only the last of them is a candidate.
      if index + 1 < known.count && known[index + 1] == score { continue }
      while wronglyAccepted < unknown.count && unknown[wronglyAccepted] >= score {
        wronglyAccepted += 1
      }
      let gain =
        Double(index + 1) / Double(known.count) - Double(wronglyAccepted) / Double(unknown.count)
      if gain > bestGain {
        bestGain = gain
        best = score
      }
    }
    return RejectionThreshold(value: best, known: known, unknown: unknown)
  }

  /// A given threshold, and what it does on these images, of which some are of known methods.
  init(value: Double, known: [Double], unknown: [Double]) {
    self.value = value
    acceptedKnown = Double(known.count { $0 >= value }) / Double(known.count)
    rejectedUnknown =
      unknown.isEmpty ? nil : Double(unknown.count { $0 < value }) / Double(unknown.count)
    areaUnderROC = ForgeryMining.areaUnderROC(positives: known, negatives: unknown)
  }
}
