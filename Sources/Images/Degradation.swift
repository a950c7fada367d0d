import Tensors

/// What may happen to an image on its way to a detector, applied to test images to see how much a
/// detector relies on traces that do not survive it.
///
/// A pure function of an 8-bit RGB image and, for noise, the number of the sample; the whole image is
/// degraded, before it is cropped and normalised. As a text, `jpeg=50`, `blur=1.0`, `noise=5.0`,
/// `resize=0.5`.
public enum Degradation: Hashable, Sendable {
  /// Encoded as baseline JPEG of this quality, 1 … 100, with chroma halved in both directions, and
  /// decoded again.
  case jpeg(quality: Int)
  /// Gaussian blur with this standard deviation in pixels, above 0 and at most 100; see
  /// ``GaussianBlur``.
  case blur(sigma: Double)
  /// Normal noise added to every value, with this standard deviation in grey levels, above 0 and at
  /// most 255; rounded and cut to 0 … 255.
  case noise(sigma: Double)
  /// Both sides brought to this share of their length, between 0 and 1, and back, by
  /// ``ImageResize``.
  case resize(scale: Double)

  /// What the noise is drawn from: the same for every detector, so that all see the same images.
  private static let noiseSeed: UInt64 = 0

  /// The image after it.
  ///
  /// - Parameter sample: what the noise is keyed by: number of the sample in its set.
  /// - Throws: ``ImageError`` if the image is too large for JPEG (a side above 65,535 pixels).
  public func applied(to image: RGBImage, sample: Int) throws -> RGBImage {
    switch self {
    case .jpeg(let quality): return try image.savedAsJPEG(quality: quality)
    case .blur(let sigma): return GaussianBlur(sigma: sigma).applied(to: image)
    case .noise(let sigma):
      var noisy = image
      noisy.addNoise(
        sigma: sigma,
        CounterGenerator(seed: Self.noiseSeed, sample: UInt64(sample), purpose: .degradation))
      return noisy
    case .resize(let scale): return image.downscaledAndBack(scale)
    }
  }
}

extension RGBImage {
  /// Encoded as JPEG with chroma halved in both directions, and decoded.
  ///
  /// - Throws: ``ImageError`` if the image is too large for JPEG (a side above 65,535 pixels).
  func savedAsJPEG(quality: Int) throws -> RGBImage {
    let bytes = try JPEGCodec.encode(self, quality: quality)
    return try ImageDecoder.decode(bytes: bytes, name: "JPEG of quality \(quality)")
  }

  /// Both sides brought to this share of their length, rounded, and back.
  package func downscaledAndBack(_ scale: Double) -> RGBImage {
    let small = ImageResize.bilinear(
      self, width: max(1, Int((Double(width) * scale).rounded())),
      height: max(1, Int((Double(height) * scale).rounded())))
    return ImageResize.bilinear(small, width: width, height: height)
  }

  /// Adds the generator's normal draws times `sigma`, in the order of memory; rounded and cut to
  /// 0 … 255.
  mutating func addNoise(sigma: Double, _ generator: CounterGenerator) {
    var generator = generator
    pixels.withUnsafeMutableBufferPointer { pixels in
      for i in pixels.indices {
        let value = (Double(pixels[i]) + sigma * generator.normal()).rounded()
        pixels[i] = UInt8(min(max(value, 0), 255))
      }
    }
  }
}

extension Degradation: LosslessStringConvertible {
  /// Reads what ``description`` writes; nil if it is not one, or its strength out of range.
  public init?(_ text: String) {
    let parts = text.split(separator: "=", omittingEmptySubsequences: false)
    guard parts.count == 2, let strength = Double(parts[1]), strength.isFinite else { return nil }
    switch parts[0] {
    case "jpeg":
      guard let quality = Int(parts[1]), (1...100).contains(quality) else { return nil }
      self = .jpeg(quality: quality)
    case "blur" where strength > 0 && strength <= 100: self = .blur(sigma: strength)
    case "noise" where strength > 0 && strength <= 255: self = .noise(sigma: strength)
    case "resize" where strength > 0 && strength < 1: self = .resize(scale: strength)
    default: return nil
    }
  }

  public var description: String {
    switch self {
    case .jpeg(let quality): "jpeg=\(quality)"
    case .blur(let sigma): "blur=\(sigma)"
    case .noise(let sigma): "noise=\(sigma)"
    case .resize(let scale): "resize=\(scale)"
    }
  }
}
