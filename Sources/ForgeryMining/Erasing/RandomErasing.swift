import Tensors

/// Settings of Random Erasing; the defaults are its paper's.
public struct RandomErasing: Equatable, Codable, Sendable {
  /// Probability that an image is erased at all; see `ErasingStreams.chooses(probability:)`.
  public var probability: Double
  /// Range of the erased area as a fraction of the image's, s_l…s_h.
  public var area: ClosedRange<Double>
  /// Range of height over width, r_1…r_2.
  public var aspectRatio: ClosedRange<Double>
  /// How often a rectangle that doesn't fit is drawn anew before the image is left as it is.
  public var attempts: Int
  /// What erased pixels are replaced by.
  public var fill: ErasingFill
  /// Range of the noise in normalised space. The paper's is every value that a pixel can have,
  /// which is −2…2 with the normalisation (pixel/255 − 0.5) / 0.25.
  public var noise: ClosedRange<Float>

  public init(
    probability: Double = 0.5, area: ClosedRange<Double> = 0.02...0.4,
    aspectRatio: ClosedRange<Double> = 0.3...(1 / 0.3), attempts: Int = 100,
    fill: ErasingFill = .noise, noise: ClosedRange<Float> = -2...2
  ) {
    precondition(
      area.lowerBound > 0 && area.upperBound <= 1,
      "RandomErasing: expected an area within 0…1, got \(area)")
    precondition(
      aspectRatio.lowerBound > 0,
      "RandomErasing: expected positive aspect ratios, got \(aspectRatio)")
    precondition(attempts >= 0, "RandomErasing: expected attempts ≥ 0, got \(attempts)")
    self.probability = probability
    self.area = area
    self.aspectRatio = aspectRatio
    self.attempts = attempts
    self.fill = fill
    self.noise = noise
  }
}

extension RandomErasing: ErasingMethod {
  public static let name = "re"
  public static let summary = "at random"
  public static let manner = "with Random Erasing"

  public var guide: ErasingGuide { .nothing }

  public init(_ settings: ErasingSettings, crop: Int) {
    let own = settings.randomErasing
    self.init(
      probability: settings.probability, area: own.minArea...own.maxArea,
      aspectRatio: own.minAspect...(1 / own.minAspect), fill: settings.fill)
  }

  /// The largest area grows from the smallest with ``ErasedImage/extent``.
  public func erase(_ image: ErasedImage, streams: inout ErasingStreams) {
    var settings = self
    let growth = (area.upperBound - area.lowerBound) * image.extent
    settings.area = area.lowerBound...min(area.upperBound, area.lowerBound + growth)
    eraseRandomly(
      image: image.pixels, height: image.height, width: image.width, settings: settings,
      streams: &streams)
  }
}

/// Random Erasing (RE), first half: chooses the rectangle.
///
/// Zhong, Zheng, Kang, Li & Yang, "Random Erasing Data Augmentation", AAAI 2020, algorithm 1. With S
/// the image's area, S_e uniform in area · S and r_e uniform in the range of aspect ratios, the
/// rectangle has height √(S_e · r_e) and width √(S_e / r_e), both rounded to the nearest pixel
/// (halves away from 0), and lies anywhere inside the image. One that is empty, or as high or as wide
/// as the image or more, is drawn anew.
///
/// **Draws** (in this order, for each attempt): area, aspect ratio; and when the rectangle fits: row
/// of its top 0…imageHeight − height, column of its left 0…imageWidth − width.
///
/// - Parameters:
///   - height: rows of the image.
///   - width: columns of the image.
///   - settings: area, aspect ratio and attempts; the probability is not looked at.
///   - generator: the image's `placement` stream, after the draw that chose the image.
/// - Returns: the rectangle; nil if no attempt gave one that fits.
public func randomRectangle(
  height: Int, width: Int, settings: RandomErasing, generator: inout CounterGenerator
) -> PixelRectangle? {
  for _ in 0..<settings.attempts {
    let area = uniform(in: settings.area, &generator) * Double(height * width)
    let aspectRatio = uniform(in: settings.aspectRatio, &generator)
    let sides = (
      height: (area * aspectRatio).squareRoot().rounded(),
      width: (area / aspectRatio).squareRoot().rounded()
    )
    // Before they are whole numbers, since an extreme ratio makes a side that none can hold.
    guard sides.height >= 1, sides.height < Double(height), sides.width >= 1,
      sides.width < Double(width)
    else { continue }
    let (erasedHeight, erasedWidth) = (Int(sides.height), Int(sides.width))
    return PixelRectangle(
      top: generator.below(height - erasedHeight + 1),
      left: generator.below(width - erasedWidth + 1),
      height: erasedHeight, width: erasedWidth)
  }
  return nil
}

private func uniform(
  in range: ClosedRange<Double>, _ generator: inout CounterGenerator
) -> Double {
  range.lowerBound + (range.upperBound - range.lowerBound) * generator.uniformDouble()
}

/// Random Erasing (RE): chooses the rectangle and fills it.
///
/// - Parameters:
///   - image: `[height, width, channels]` in normalised space, changed in place.
///   - height: rows of the image.
///   - width: columns of the image.
///   - channels: channels of the image.
///   - settings: area, aspect ratio, attempts and fill; the probability is not looked at.
///   - streams: the image's streams, after `chooses(probability:)` said yes. Noise is drawn row by
///     row.
/// - Returns: what was erased, if anything.
@discardableResult
public func eraseRandomly(
  image: UnsafeMutableBufferPointer<Float>, height: Int, width: Int, channels: Int = 3,
  settings: RandomErasing, streams: inout ErasingStreams
) -> PixelRectangle? {
  precondition(
    image.count == height * width * channels,
    "eraseRandomly: expected an image of \(height)×\(width)×\(channels) values, got \(image.count)")
  guard
    let rectangle = randomRectangle(
      height: height, width: width, settings: settings, generator: &streams.placement)
  else { return nil }
  withUnsafePointer(to: rectangle) {
    fill(
      UnsafeBufferPointer(start: $0, count: 1), of: image, width: width, channels: channels,
      with: settings.fill, noise: settings.noise, draws: &streams.fill)
  }
  return rectangle
}

/// Random Erasing (RE) on an array; see the buffer version.
///
/// - Returns: what was erased, if anything.
@discardableResult
public func eraseRandomly(
  image: inout [Float], height: Int, width: Int, channels: Int = 3, settings: RandomErasing,
  streams: inout ErasingStreams
) -> PixelRectangle? {
  image.withUnsafeMutableBufferPointer {
    eraseRandomly(
      image: $0, height: height, width: width, channels: channels, settings: settings,
      streams: &streams)
  }
}
