/// How often images of each method were attributed to each method.
public struct ConfusionMatrix: Equatable, Codable, Sendable {
  /// Names of the methods, for rows and columns.
  public let methods: [String]
  /// `counts[truth][prediction]`.
  public private(set) var counts: [[Int]]

  public init(methods: [String]) {
    self.methods = methods
    counts = methods.map { _ in [Int](repeating: 0, count: methods.count) }
  }

  /// Counts one image.
  public mutating func add(truth: Int, prediction: Int) { counts[truth][prediction] += 1 }

  /// Adds the counts of another matrix of the same methods.
  public mutating func merge(_ other: ConfusionMatrix) {
    precondition(other.methods == methods, "ConfusionMatrix: expected a matrix of the same methods")
    for truth in counts.indices {
      for prediction in counts.indices {
        counts[truth][prediction] += other.counts[truth][prediction]
      }
    }
  }

  /// Images counted.
  public var total: Int { counts.joined().reduce(0, +) }

  /// Fraction of the images that were attributed to their own method; nil without images.
  public var accuracy: Double? {
    total == 0 ? nil : Double(counts.indices.reduce(0) { $0 + counts[$1][$1] }) / Double(total)
  }

  /// For each method, the fraction of its images that were attributed to it; nil for a method
  /// without images.
  public var recalls: [Double?] {
    counts.indices.map { truth in
      let images = counts[truth].reduce(0, +)
      return images == 0 ? nil : Double(counts[truth][truth]) / Double(images)
    }
  }

  /// Mean of `recalls` over the methods that have images, so that each method weighs the same; nil
  /// without images.
  public var balancedAccuracy: Double? {
    let known = recalls.compactMap { $0 }
    return known.isEmpty ? nil : known.reduce(0, +) / Double(known.count)
  }
}
