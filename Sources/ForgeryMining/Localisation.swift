/// How well the attention of one image agrees with the mask of what was forged in it.
///
/// Every figure has its chance level: that of a map without any relation to the mask is 1 for
/// `insideOutsideRatio` and `areaShare` for `pointingHit` and `energyShare`.
public struct LocalisationScores: Equatable, Codable, Sendable {
  /// Fraction of the image that is forged.
  public var areaShare: Double
  /// Mean of the map inside the mask, in units of the mean over the whole image.
  public var insideMean: Double
  /// Mean of the map outside the mask, in units of the mean over the whole image.
  public var outsideMean: Double
  /// Whether the most sensitive pixel (the first of equals) is inside: the pointing game of Zhang et
  /// al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016.
  public var pointingHit: Bool
  /// Sum of the map inside the mask over its whole sum.
  public var energyShare: Double
  /// Intersection over union of the mask with the equally many most sensitive pixels.
  public var intersectionOverUnion: Double

  /// Mean of the map inside the mask over its mean outside; infinite if the map is zero outside.
  public var insideOutsideRatio: Double { insideMean / outsideMean }

  /// Scores a map against a mask.
  ///
  /// - Parameters:
  ///   - attention: a Forgery Attention Map, or the positive part of a Class Activation Map,
  ///     `[height, width]`; negative values count as 0.
  ///   - mask: `[height, width]`, forged where it is at least 128.
  ///   - width: columns of the map.
  ///   - tolerance: how far, in pixels, the most sensitive pixel may lie outside the mask and still
  ///     count as a hit in the pointing game.
  /// - Returns: nil if the mask covers nothing or everything, or if the map is not finite or zero
  ///   everywhere: then there is nothing to tell apart.
  public init?(
    attention: UnsafeBufferPointer<Float>, mask: UnsafeBufferPointer<UInt8>, width: Int,
    tolerance: Int = 0
  ) {
    precondition(
      attention.count == mask.count && width > 0 && mask.count % width == 0,
      "LocalisationScores: expected a map and a mask of the same size with rows of \(width), got "
        + "\(attention.count) and \(mask.count) values")
    var inside = 0.0
    var outside = 0.0
    var area = 0
    var peak = 0
    for pixel in 0..<mask.count {
      let value = Double(max(attention[pixel], 0))
      if mask[pixel] >= 128 {
        inside += value
        area += 1
      } else {
        outside += value
      }
      if attention[pixel] > attention[peak] { peak = pixel }
    }
    let total = inside + outside
    guard area > 0 && area < mask.count && total > 0 && total.isFinite else { return nil }
    let pixels = Double(mask.count)
    areaShare = Double(area) / pixels
    insideMean = inside / Double(area) / (total / pixels)
    outsideMean = outside / (pixels - Double(area)) / (total / pixels)
    energyShare = inside / total
    pointingHit = Self.isForged(mask, width: width, near: peak, tolerance: tolerance)

    var both = 0
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: mask.count) { highest in
      markHighest(area, of: attention, into: highest)
      for pixel in 0..<mask.count where highest[pixel] != 0 && mask[pixel] >= 128 { both += 1 }
    }
    intersectionOverUnion = Double(both) / Double(2 * area - both)
  }

  /// Scores a map against a mask, as arrays.
  public init?(attention: [Float], mask: [UInt8], width: Int, tolerance: Int = 0) {
    let scores = attention.withUnsafeBufferPointer { attention in
      mask.withUnsafeBufferPointer {
        LocalisationScores(attention: attention, mask: $0, width: width, tolerance: tolerance)
      }
    }
    guard let scores else { return nil }
    self = scores
  }

  /// Whether the mask is set within `tolerance` pixels (Euclidean) of the pixel.
  private static func isForged(
    _ mask: UnsafeBufferPointer<UInt8>, width: Int, near pixel: Int, tolerance: Int
  ) -> Bool {
    let (row, column) = pixel.quotientAndRemainder(dividingBy: width)
    for down in -tolerance...tolerance {
      for across in -tolerance...tolerance
      where down * down + across * across <= tolerance * tolerance {
        let (y, x) = (row + down, column + across)
        if y >= 0 && y < mask.count / width && x >= 0 && x < width && mask[y * width + x] >= 128 {
          return true
        }
      }
    }
    return false
  }
}

/// Localisation scores of many images, each weighing the same.
///
/// Seven sums, so that the parts of several ranks add up (`sums` can be reduced as it is).
public struct LocalisationSummary: Equatable, Sendable {
  /// Images; sums of areaShare, insideMean, outsideMean, hits, energyShare, intersectionOverUnion.
  public var sums = [Double](repeating: 0, count: 7)

  public init() {}

  /// Adds an image.
  public mutating func add(_ scores: LocalisationScores) {
    let values = [
      1, scores.areaShare, scores.insideMean, scores.outsideMean, scores.pointingHit ? 1 : 0,
      scores.energyShare, scores.intersectionOverUnion,
    ]
    for index in values.indices { sums[index] += values[index] }
  }

  /// Adds the images of another summary.
  public mutating func merge(_ other: LocalisationSummary) {
    for index in sums.indices { sums[index] += other.sums[index] }
  }

  /// Images that were scored.
  public var images: Int { Int(sums[0]) }
  /// Mean fraction of an image that is forged: the chance level of `pointingAccuracy` and
  /// `energyShare`. Nil without images, as everything below.
  public var areaShare: Double? { mean(1) }
  /// Mean attention inside the forged regions over mean attention outside, each image's map scaled
  /// to mean 1 first, so that images with large gradients don't decide alone.
  public var insideOutsideRatio: Double? { images == 0 ? nil : sums[2] / sums[3] }
  /// Fraction of images whose most sensitive pixel is forged.
  public var pointingAccuracy: Double? { mean(4) }
  /// Mean share of the attention that falls inside the forged region.
  public var energyShare: Double? { mean(5) }
  /// Mean intersection over union at equal area.
  public var intersectionOverUnion: Double? { mean(6) }

  private func mean(_ index: Int) -> Double? { images == 0 ? nil : sums[index] / sums[0] }
}

extension LocalisationSummary: Encodable {
  enum CodingKeys: String, CodingKey {
    case images
    case areaShare = "area_share"
    case insideOutsideRatio = "inside_outside_ratio"
    case pointingAccuracy = "pointing_accuracy"
    case energyShare = "energy_share"
    case intersectionOverUnion = "intersection_over_union"
  }

  /// Writes the figures, null where there are no images or the ratio is not finite.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(images, forKey: .images)
    try container.encode(areaShare, forKey: .areaShare)
    let ratio = insideOutsideRatio.flatMap { $0.isFinite ? $0 : nil }
    try container.encode(ratio, forKey: .insideOutsideRatio)
    try container.encode(pointingAccuracy, forKey: .pointingAccuracy)
    try container.encode(energyShare, forKey: .energyShare)
    try container.encode(intersectionOverUnion, forKey: .intersectionOverUnion)
  }
}
