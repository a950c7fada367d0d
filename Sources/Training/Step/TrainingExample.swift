import Evaluation
import FaceShards
import ForgeryMining
import Images

/// A validation image with the detector's attention, and as the training's erasing leaves it.
public struct TrainingExample: Sendable {
  /// The method that made it.
  public let method: String
  /// The centre crop.
  public let image: RGBImage
  /// Its normalised Forgery Attention Map, `[crop, crop]`.
  public let attention: [Float]
  /// The crop after the training's own erasing; nil where nothing is erased.
  public let erased: RGBImage?

  /// The first fake images of each method that the examples are made of.
  ///
  /// - Parameter candidates: numbers of the images that the training looks at, in shard order: not
  ///   those of methods which it leaves out.
  static func samples(
    of set: ShardSet, among candidates: [Int], perMethod: Int, limit: Int
  ) -> [Int] {
    var seen = [Int](repeating: 0, count: set.methodNames.count)
    var samples: [Int] = []
    for sample in candidates where set.labels[sample] != 0 {
      let method = Int(set.methods[sample])
      guard seen[method] < perMethod, samples.count < limit else { continue }
      seen[method] += 1
      samples.append(sample)
    }
    return samples
  }

  /// Takes one fake image of each method through attention and erasing, on this rank alone. Draws
  /// are keyed by the sample, so examples of several checkpoints are erased with the same numbers.
  ///
  /// - Parameters:
  ///   - candidates: as for ``samples(of:among:perMethod:limit:)``.
  ///   - erasing: the training's own; its state does not matter and is not changed.
  ///   - capacity: most images that `erasing` takes at a time.
  /// - Throws: what reading shards throws.
  static func examples(
    _ pass: DatasetPass, _ set: ShardSet, among candidates: [Int], erasing: BatchErasing,
    capacity: Int, normalisation: PixelNormalisation, limit: Int = 8
  ) throws -> [TrainingExample] {
    let samples = samples(of: set, among: candidates, perMethod: 1, limit: limit)
    guard !samples.isEmpty else { return [] }
    let crop = pass.crop
    let size = crop * crop * 3
    var maps: [[Float]] = []
    try pass.maps(.fam, set, samples) { image in
      maps.append(normalisedAttention(Array(image.map), height: crop, width: crop))
    }
    var examples: [TrainingExample] = []
    let loader = try BatchLoader(
      evaluating: set, samples: samples, batchSize: min(capacity, samples.count), crop: crop,
      normalisation: normalisation)
    while let batch = try loader.next() {
      let images = (0..<batch.count).map {
        normalisation.image(
          UnsafeBufferPointer(rebasing: batch.images[$0 * size..<($0 + 1) * size]), side: crop)
      }
      erasing.erase(batch)
      for (i, image) in images.enumerated() {
        examples.append(
          TrainingExample(
            method: set.methodNames[Int(batch.methods[i])], image: image,
            attention: maps[examples.count],
            erased: erasing.erased == 0
              ? nil
              : normalisation.image(
                UnsafeBufferPointer(rebasing: batch.images[i * size..<(i + 1) * size]),
                side: crop)))
      }
    }
    return examples
  }
}

extension PixelNormalisation {
  /// The pixels that network input stands for, the inverse of `cut`; what lies outside 0...255, such
  /// as noise, is clipped.
  ///
  /// - Parameter input: float32 `[side, side, 3]`.
  func image(_ input: UnsafeBufferPointer<Float>, side: Int) -> RGBImage {
    RGBImage(
      width: side, height: side,
      pixels: input.enumerated().map {
        UInt8(min(max(level(of: $1, channel: $0 % 3), 0), 255).rounded())
      })
  }
}
