/// Settings of attention erasing.
public struct AttentionErasing: Equatable, Codable, Sendable {
  /// Probability that an image is erased at all; see `ErasingStreams.chooses(probability:)`.
  public var probability: Double
  /// Fraction of the image's pixels to erase, 0…1; rounded to whole pixels, halves up.
  public var fraction: Double
  /// What erased pixels are replaced by.
  public var fill: ErasingFill
  /// Range of the noise, in normalised space.
  public var noise: ClosedRange<Float>

  /// With the paper's values where none are given.
  public init(
    probability: Double = 1, fraction: Double = 0.1, fill: ErasingFill = .noise,
    noise: ClosedRange<Float> = -1...1
  ) {
    precondition(
      fraction >= 0 && fraction <= 1,
      "AttentionErasing: expected a fraction from 0 to 1, got \(fraction)")
    self.probability = probability
    self.fraction = fraction
    self.fill = fill
    self.noise = noise
  }
}

extension AttentionErasing: ErasingMethod {
  public static let name = "ae"
  public static let summary = "by class activation maps"
  public static let manner = "with CAM-guided erasing"

  public var guide: ErasingGuide { .classActivation }

  public init(_ settings: ErasingSettings, crop: Int) {
    self.init(
      probability: settings.probability, fraction: settings.attentionErasing.fraction,
      fill: settings.fill)
  }

  /// Room for the mask.
  public func scratchSize(height: Int, width: Int) -> Int { height * width }

  /// The fraction grows with ``ErasedImage/extent``.
  public func erase(_ image: ErasedImage, streams: inout ErasingStreams) {
    var settings = self
    settings.fraction = fraction * image.extent
    eraseAttention(
      image: image.pixels, activation: image.guide, settings: settings, streams: &streams,
      into: UnsafeMutableBufferPointer(
        // It may be longer than what was asked for.
        rebasing: image.scratch.bindMemory(to: UInt8.self)[..<image.guide.count]))
  }
}

/// Attention erasing (AE): erases exactly the pixels that a Class Activation Map ranks highest.
///
/// The alternative that Wang & Deng (CVPR 2021, section 4) compare SFE with: the guide is
/// CAM_fake − CAM_real, upsampled to the image (`classActivationMap`), and the erased region is the
/// `fraction` of pixels with the highest values, of equal ones those of lower index. There is no
/// randomness in the place. The guide comes from a coarse map, so it is misaligned with the traces
/// themselves, and the region is cut out along the guide's level lines: that is what the comparison
/// is about.
///
/// - Parameters:
///   - image: `[height, width, channels]` in normalised space, changed in place.
///   - activation: CAM_fake − CAM_real at the size of the image, `[height, width]`.
///   - channels: channels of the image.
///   - settings: how much is erased and by what it is replaced; the probability is not looked at.
///   - streams: the image's streams, after `chooses(probability:)` said yes. Noise is drawn for the
///     erased pixels in the order of their indices.
///   - mask: receives 255 where erased and 0 elsewhere, `[height, width]`.
public func eraseAttention(
  image: UnsafeMutableBufferPointer<Float>, activation: UnsafeBufferPointer<Float>,
  channels: Int = 3, settings: AttentionErasing, streams: inout ErasingStreams,
  into mask: UnsafeMutableBufferPointer<UInt8>
) {
  precondition(
    image.count == activation.count * channels,
    "eraseAttention: expected an image of \(activation.count)×\(channels) values, "
      + "got \(image.count)")
  let count = Int((settings.fraction * Double(activation.count) + 0.5).rounded(.down))
  markHighest(min(count, activation.count), of: activation, into: mask)
  fill(
    mask: UnsafeBufferPointer(mask), of: image, channels: channels, with: settings.fill,
    noise: settings.noise, draws: &streams.fill)
}

/// Attention erasing (AE) on an array; see the buffer version for the rule.
///
/// - Returns: the mask of what was erased, 255 where erased, `[height, width]`.
@discardableResult
public func eraseAttention(
  image: inout [Float], activation: [Float], channels: Int = 3, settings: AttentionErasing,
  streams: inout ErasingStreams
) -> [UInt8] {
  var mask = [UInt8](repeating: 0, count: activation.count)
  image.withUnsafeMutableBufferPointer { image in
    activation.withUnsafeBufferPointer { activation in
      mask.withUnsafeMutableBufferPointer {
        eraseAttention(
          image: image, activation: activation, channels: channels, settings: settings,
          streams: &streams, into: $0)
      }
    }
  }
  return mask
}
