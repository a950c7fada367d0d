import Foundation
import Testing

@testable import Images
@testable import Tensors

/// Whether what augmentations draw has the distribution that they tell: whole numbers, values that are
/// no setting, holes and noise, which `AugmentationTests` does not look at.
///
/// Draws are those of fixed samples, so a test gives the same figures every time. Bounds are at about
/// 4.5 standard deviations: of a right generator one figure of 150,000 lies beyond.
@Suite struct AugmentationDrawTests {
  private static let settings = AugmentationSettings()

  /// A change of a sample that is chosen.
  private func draw<Change: Augmentation>(
    _ kind: Change.Type, sample: Int, height: Int = 29, width: Int = 37,
    ranges: [String: ClosedRange<Double>] = [:]
  ) throws -> Change {
    var setting = Self.settings[kind.name]
    setting.probability = 1
    setting.ranges.merge(ranges) { $1 }
    let change = Augmentations.draw(
      kind, setting, height: height, width: width, seed: 5, visit: 3, sample: sample)
    return try #require(change as? Change)
  }

  // MARK: Statistics

  /// - Parameter shares: of the classes; nil: all alike.
  private func chiSquared(_ counts: [Int], shares: [Double]? = nil) -> Double {
    let all = Double(counts.reduce(0, +))
    let shares = shares ?? counts.map { _ in 1 / Double(counts.count) }
    return zip(counts, shares).reduce(0) { sum, both in
      let expected = all * both.1
      return sum + (Double(both.0) - expected) * (Double(both.0) - expected) / expected
    }
  }

  /// What χ² of so many classes stays below (Wilson and Hilferty 1931).
  private func limit(classes: Int) -> Double {
    let degrees = Double(classes - 1)
    let variance = 2 / (9 * degrees)
    return degrees * pow(1 - variance + 4.5 * variance.squareRoot(), 3)
  }

  /// Numbers of values in each of twenty parts of 0..<1.
  private func twentieths(_ values: [Double]) -> [Int] {
    var counts = [Int](repeating: 0, count: 20)
    // A whole is one that was rounded up.
    for value in values { counts[min(19, Int(value * 20))] += 1 }
    return counts
  }

  private func checkUniform(_ values: [Double], _ name: Comment) {
    #expect(values.allSatisfy { $0 > -1e-9 && $0 < 1 + 1e-9 }, name)
    let statistic = chiSquared(twentieths(values))
    #expect(statistic < limit(classes: 20), "\(name): χ² \(statistic)")
  }

  private func checkUncorrelated(_ first: [Double], _ second: [Double], _ name: Comment) {
    let n = Double(first.count)
    let (a, b) = (first.reduce(0, +) / n, second.reduce(0, +) / n)
    var (ab, aa, bb) = (0.0, 0.0, 0.0)
    for (x, y) in zip(first, second) {
      ab += (x - a) * (y - b)
      aa += (x - a) * (x - a)
      bb += (y - b) * (y - b)
    }
    let correlation = ab / (aa * bb).squareRoot()
    #expect(abs(correlation) < 4.5 / n.squareRoot(), "\(name): \(correlation)")
  }

  // MARK: Whole numbers and angles

  @Test func everyJPEGQualityIsEquallyLikely() throws {
    var counts = [Int](repeating: 0, count: 61)
    for sample in 0..<12_200 {
      counts[try draw(JPEGCompression.self, sample: sample).quality - 40] += 1
    }
    let statistic = chiSquared(counts)
    #expect(statistic < limit(classes: 61), "χ² \(statistic)")
  }

  @Test func everyDirectionOfMotionIsEquallyLikelyWhateverTheLength() throws {
    let changes = try (0..<8000).map { try draw(MotionBlur.self, sample: $0) }
    let angles = changes.map { $0.angle / Double.pi }
    checkUniform(angles, "angle")
    checkUncorrelated(angles, changes.map(\.length), "angle and length")
  }

  /// The fourth of its draws, from the range of the third.
  @Test func theShiftDownwardsIsDrawnAnew() throws {
    let changes = try (0..<8000).map { try draw(AffineWarp.self, sample: $0) }
    let down = changes.map { ($0.down + 0.05) / 0.1 }
    checkUniform(down, "down")
    checkUncorrelated(down, changes.map(\.right), "down and right")
    checkUncorrelated(down, changes.map(\.scale), "down and scale")
    checkUncorrelated(down, changes.map(\.rotation), "down and rotation")
  }

  // MARK: Holes

  @Test func numbersSidesAndPlacesOfHolesAreUniform() throws {
    // So large that rounding to pixels moves next to nothing from class to class.
    let (height, width) = (100_000, 200_000)
    var counts = [Int](repeating: 0, count: 4)
    var values: [[Double]] = [[], [], [], []]
    var (before, after): ([[Double]], [[Double]]) = ([[], [], [], []], [[], [], [], []])
    for sample in 0..<6000 {
      let holes = try draw(CoarseDropout.self, sample: sample, height: height, width: width).holes
      counts[holes.count - 1] += 1
      let shares = holes.map { hole in
        [
          (Double(hole.height) / Double(height) - 0.05) / 0.15,
          (Double(hole.width) / Double(width) - 0.05) / 0.15,
          Double(hole.top) / Double(height - hole.height + 1),
          Double(hole.left) / Double(width - hole.width + 1),
        ]
      }
      for (place, share) in shares.enumerated() {
        for value in 0..<4 {
          values[value].append(share[value])
          guard place > 0 else { continue }
          before[value].append(shares[place - 1][value])
          after[value].append(share[value])
        }
      }
    }
    let statistic = chiSquared(counts)
    #expect(statistic < limit(classes: 4), "numbers \(counts): χ² \(statistic)")
    let names: [Comment] = ["height", "width", "top", "left"]
    for (value, name) in names.enumerated() {
      checkUniform(values[value], name)
      // All of a hole, and the holes of an image, are drawn anew.
      for other in 0..<value {
        checkUncorrelated(values[value], values[other], "\(name) and \(names[other])")
      }
      checkUncorrelated(before[value], after[value], "\(name) of one hole and the next")
    }
  }

  /// In an image of 29 × 37: shares of 1.45 to 5.8 and 1.85 to 7.4 pixels.
  @Test func holesOfFewPixelsAreRoundedAndMayTouchEveryBorder() throws {
    let holes = try (0..<6000).flatMap { try draw(CoarseDropout.self, sample: $0).holes }
    for (name, side, sides) in [
      ("height", 29, holes.map(\.height)), ("width", 37, holes.map(\.width)),
    ] {
      let (low, high) = (0.05 * Double(side), 0.2 * Double(side))
      let lengths = Array(Int(low.rounded())...Int(high.rounded()))
      #expect(Set(sides) == Set(lengths), "\(name)")
      // What lies nearest to each length.
      let shares = lengths.map { length in
        (min(high, Double(length) + 0.5) - max(low, Double(length) - 0.5)) / (high - low)
      }
      let counts = lengths.map { length in sides.count { $0 == length } }
      let statistic = chiSquared(counts, shares: shares)
      #expect(statistic < limit(classes: lengths.count), "\(name) \(counts): χ² \(statistic)")
    }
    for (name, side, places) in [
      ("top", 29, holes.filter { $0.height == 4 }.map(\.top)),
      ("left", 37, holes.filter { $0.width == 4 }.map(\.left)),
    ] {
      // From one border to where the hole touches the other.
      let counts = (0...side - 4).map { place in places.count { $0 == place } }
      #expect(counts.reduce(0, +) == places.count && places.count > 2000, "\(name)")
      let statistic = chiSquared(counts)
      #expect(statistic < limit(classes: counts.count), "\(name) \(counts): χ² \(statistic)")
    }
  }

  // MARK: Noise

  private static let sigma = 6.0
  private static let (noiseWidth, noiseHeight) = (200, 150)

  /// What a sample's noise adds to a grey image, a whole number of levels each.
  private func noise(sample: Int) throws -> [Double] {
    var image = AugmentedImage(
      RGBImage(
        width: Self.noiseWidth, height: Self.noiseHeight,
        pixels: [UInt8](repeating: 128, count: Self.noiseWidth * Self.noiseHeight * 3)))
    let change = try draw(
      PixelNoise.self, sample: sample, height: Self.noiseHeight, width: Self.noiseWidth,
      ranges: ["sigma": Self.sigma...Self.sigma])
    #expect(change.sigma == Self.sigma)
    change.apply(to: &image)
    return image.picture.pixels.map { Double($0) - 128 }
  }

  @Test(arguments: [0, 1, 2]) func noiseIsNormalWithTheMeanAndVarianceThatItTells(sample: Int)
    throws
  {
    let values = try noise(sample: sample)
    let n = Double(values.count)
    let mean = values.reduce(0, +) / n
    func moment(_ power: Int) -> Double {
      values.reduce(0) { $0 + pow($1 - mean, Double(power)) } / n
    }
    // Rounding to levels adds a twelfth (Sheppard).
    let expected = Self.sigma * Self.sigma + 1.0 / 12
    let variance = moment(2)
    #expect(abs(mean) < 4.5 * (expected / n).squareRoot(), "mean \(mean)")
    #expect(abs(variance - expected) < 4.5 * expected * (2 / n).squareRoot(), "\(variance)")
    let skewness = moment(3) / pow(variance, 1.5)
    #expect(abs(skewness) < 4.5 * (6 / n).squareRoot(), "skewness \(skewness)")
    let excess = moment(4) / (variance * variance) - 3
    #expect(abs(excess) < 4.5 * (24 / n).squareRoot(), "kurtosis \(excess) above 3")

    // Level by level, with all beyond 19 in two classes of their own.
    func cumulative(_ level: Double) -> Double { erfc(-level / Self.sigma / 2.0.squareRoot()) / 2 }
    let levels = Array(-20...20)
    var counts = [Int](repeating: 0, count: levels.count)
    for value in values { counts[min(max(Int(value), -20), 20) + 20] += 1 }
    let shares = levels.map { level in
      (level == 20 ? 1 : cumulative(Double(level) + 0.5))
        - (level == -20 ? 0 : cumulative(Double(level) - 0.5))
    }
    let statistic = chiSquared(counts, shares: shares)
    #expect(statistic < limit(classes: levels.count), "χ² \(statistic)")
  }

  @Test func everyValueHasNoiseOfItsOwn() throws {
    let values = try noise(sample: 0)
    let squares = values.map { $0 * $0 }
    for (distance, name) in [
      (1, "the next channel"), (2, "the channel after it"), (3, "the next pixel"),
      (3 * Self.noiseWidth, "the pixel below"),
    ] as [(Int, Comment)] {
      let count = values.count - distance
      checkUncorrelated(Array(values[..<count]), Array(values[distance...]), name)
      // Pairs of normal draws are made of one radius.
      checkUncorrelated(
        Array(squares[..<count]), Array(squares[distance...]), "\(name), squared")
    }
    checkUncorrelated(values, try noise(sample: 1), "the next sample")
  }

  // MARK: Which are chosen

  private func choices(_ kind: any Augmentation.Type, visit: Int = 3) -> [Double] {
    var setting = Self.settings[kind.name]
    setting.probability = 0.5
    return (0..<4000).map { sample in
      let change = Augmentations.draw(
        kind, setting, height: 29, width: 37, seed: 5, visit: visit, sample: sample)
      return change == nil ? 0 : 1
    }
  }

  @Test func whetherOneIsChosenTellsNothingOfAnother() {
    let kinds = Augmentations.all
    let chosen = kinds.map { choices($0) }
    for (place, kind) in kinds.enumerated() {
      for other in 0..<place {
        checkUncorrelated(
          chosen[place], chosen[other], "\(kind.name) and \(kinds[other].name)")
      }
    }
  }

  @Test func whetherOneIsChosenTellsNothingOfTheNextSampleAndVisit() {
    for kind in Augmentations.all {
      let chosen = choices(kind)
      checkUncorrelated(
        Array(chosen.dropLast()), Array(chosen.dropFirst()), "\(kind.name), next sample")
      checkUncorrelated(chosen, choices(kind, visit: 4), "\(kind.name), next visit")
    }
  }
}
