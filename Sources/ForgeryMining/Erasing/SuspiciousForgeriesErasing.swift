import Tensors

/// Settings of Suspicious Forgeries Erasing.
public struct SuspiciousForgeriesErasing: Equatable, Codable, Sendable {
  /// Probability that an image is erased at all; see `ErasingStreams.chooses(probability:)`.
  public var probability: Double
  /// Blocks to erase in an image, N.
  public var blocks: Int
  /// Largest height of a block, in pixels.
  public var maxHeight: Int
  /// Largest width of a block, in pixels.
  public var maxWidth: Int
  /// What erased pixels are replaced by.
  public var fill: ErasingFill
  /// Range of the noise in normalised space; the paper's is −1…1.
  public var noise: ClosedRange<Float>

  /// With the paper's values where none are given.
  public init(
    probability: Double = 1, blocks: Int = 3, maxHeight: Int = 120, maxWidth: Int = 120,
    fill: ErasingFill = .noise, noise: ClosedRange<Float> = -1...1
  ) {
    precondition(blocks >= 0, "SuspiciousForgeriesErasing: expected blocks ≥ 0, got \(blocks)")
    precondition(
      maxHeight >= 1 && maxWidth >= 1,
      "SuspiciousForgeriesErasing: expected blocks of at least 1×1, got \(maxHeight)×\(maxWidth)")
    self.probability = probability
    self.blocks = blocks
    self.maxHeight = maxHeight
    self.maxWidth = maxWidth
    self.fill = fill
    self.noise = noise
  }

  /// The largest side of a block for a crop: the paper's 120 pixels of 224, in proportion, rounded.
  public static func proportionalSide(crop: Int) -> Int {
    max(1, (crop * 120 + 112) / 224)
  }
}

extension SuspiciousForgeriesErasing: ErasingMethod {
  public static let name = "sfe"
  public static let summary = "suspicious forgeries (the paper)"
  public static let manner = "by Suspicious Forgeries Erasing"

  public var guide: ErasingGuide { .forgeryAttention }

  public init(_ settings: ErasingSettings, crop: Int) {
    let side = Self.proportionalSide(crop: crop)
    self.init(
      probability: settings.probability, blocks: settings.blocks,
      maxHeight: settings.maxHeight ?? side, maxWidth: settings.maxWidth ?? side,
      fill: settings.fill)
  }

  /// Room for the blocks.
  public func scratchSize(height: Int, width: Int) -> Int {
    blocks * MemoryLayout<PixelRectangle>.stride
  }

  /// The largest sides of a block grow with ``ErasedImage/extent``.
  public func erase(_ image: ErasedImage, streams: inout ErasingStreams) {
    var settings = self
    settings.maxHeight = max(1, Int((Double(maxHeight) * image.extent).rounded()))
    settings.maxWidth = max(1, Int((Double(maxWidth) * image.extent).rounded()))
    eraseSuspiciousForgeries(
      image: image.pixels, attention: image.guide, height: image.height, width: image.width,
      settings: settings, streams: &streams,
      into: image.scratch.bindMemory(to: PixelRectangle.self))
  }
}

/// Suspicious Forgeries Erasing (SFE), first half: chooses the blocks.
///
/// Wang & Deng, CVPR 2021, section 3. The detector is made to look elsewhere by erasing what it
/// looks at most: go through the pixels by their value in the Forgery Attention Map, highest first;
/// around each that is not erased yet, erase a block of random size at a random position that
/// contains it, until N blocks are erased.
///
/// Pixels of equal value are taken in the order of their indices. A pixel whose value is NaN is
/// never taken. If the blocks cover the whole image before there are N, there are fewer.
///
/// **Draws** (part of what makes a run reproducible, in this order, for each block): height
/// 1…maxHeight, width 1…maxWidth, rows of the block above the pixel 0..<height, columns left of the
/// pixel 0..<width. The block is then clipped to the image; the pixel is always inside.
///
/// Sorting 50,000 pixels to use three of them would be waste: each block costs one scan for the
/// largest value that is not erased. Nothing is allocated.
///
/// - Parameters:
///   - attention: the map, `[height, width]`.
///   - height: rows of the image.
///   - width: columns of the image.
///   - settings: number and size of the blocks; the probability is not looked at.
///   - generator: the image's `placement` stream, after the draw that chose the image.
///   - rectangles: receives the blocks, in the order of erasing; at least `settings.blocks` long.
/// - Returns: how many blocks there are.
public func suspiciousForgeries(
  attention: UnsafeBufferPointer<Float>, height: Int, width: Int,
  settings: SuspiciousForgeriesErasing, generator: inout CounterGenerator,
  into rectangles: UnsafeMutableBufferPointer<PixelRectangle>
) -> Int {
  precondition(
    attention.count == height * width,
    "suspiciousForgeries: expected a map of \(height)×\(width) values, got \(attention.count)")
  precondition(
    rectangles.count >= settings.blocks,
    "suspiciousForgeries: expected room for \(settings.blocks) blocks, got \(rectangles.count)")
  for block in 0..<settings.blocks {
    let erased = UnsafeBufferPointer(rebasing: rectangles[..<block])
    guard let pixel = mostSensitivePixel(attention, width: width, outside: erased) else {
      return block
    }
    let blockHeight = 1 + generator.below(settings.maxHeight)
    let blockWidth = 1 + generator.below(settings.maxWidth)
    let above = generator.below(blockHeight)
    let before = generator.below(blockWidth)
    let (row, column) = pixel.quotientAndRemainder(dividingBy: width)
    let top = max(0, row - above)
    let left = max(0, column - before)
    rectangles[block] = PixelRectangle(
      top: top, left: left,
      height: min(height, row - above + blockHeight) - top,
      width: min(width, column - before + blockWidth) - left)
  }
  return settings.blocks
}

/// The index of the largest value outside the rectangles, the lowest of equals; nil if every pixel
/// is covered or NaN.
private func mostSensitivePixel(
  _ attention: UnsafeBufferPointer<Float>, width: Int,
  outside rectangles: UnsafeBufferPointer<PixelRectangle>
) -> Int? {
  var best: Int?
  var largest = -Float.infinity
  for pixel in 0..<attention.count {
    let value = attention[pixel]
    // The comparison is almost always false, so the rectangles are rarely looked at.
    guard value > largest || (best == nil && value == largest) else { continue }
    let (row, column) = pixel.quotientAndRemainder(dividingBy: width)
    if rectangles.contains(where: { $0.contains(row: row, column: column) }) { continue }
    best = pixel
    largest = value
  }
  return best
}

/// Suspicious Forgeries Erasing (SFE): chooses the blocks and fills them.
///
/// See `suspiciousForgeries(attention:height:width:settings:generator:into:)` for the rule. Noise is
/// drawn from the image's `fill` stream block by block, row by row.
///
/// - Parameters:
///   - image: `[height, width, channels]` in normalised space, changed in place.
///   - attention: its Forgery Attention Map, `[height, width]`.
///   - height: rows of the image.
///   - width: columns of the image.
///   - channels: channels of the image.
///   - settings: number, size and fill of the blocks; the probability is not looked at.
///   - streams: the image's streams, after `chooses(probability:)` said yes.
///   - rectangles: receives the blocks, in the order of erasing; at least `settings.blocks` long.
/// - Returns: how many blocks were erased.
@discardableResult
public func eraseSuspiciousForgeries(
  image: UnsafeMutableBufferPointer<Float>, attention: UnsafeBufferPointer<Float>,
  height: Int, width: Int, channels: Int = 3,
  settings: SuspiciousForgeriesErasing, streams: inout ErasingStreams,
  into rectangles: UnsafeMutableBufferPointer<PixelRectangle>
) -> Int {
  precondition(
    image.count == height * width * channels,
    "eraseSuspiciousForgeries: expected an image of \(height)×\(width)×\(channels) values, "
      + "got \(image.count)")
  let count = suspiciousForgeries(
    attention: attention, height: height, width: width, settings: settings,
    generator: &streams.placement, into: rectangles)
  fill(
    UnsafeBufferPointer(rebasing: rectangles[..<count]), of: image, width: width,
    channels: channels, with: settings.fill, noise: settings.noise, draws: &streams.fill)
  return count
}

/// Suspicious Forgeries Erasing (SFE) on an array; see the buffer version for the rule.
///
/// - Returns: the erased blocks, in the order of erasing.
@discardableResult
public func eraseSuspiciousForgeries(
  image: inout [Float], attention: [Float], height: Int, width: Int, channels: Int = 3,
  settings: SuspiciousForgeriesErasing, streams: inout ErasingStreams
) -> [PixelRectangle] {
  [PixelRectangle](unsafeUninitializedCapacity: settings.blocks) { rectangles, count in
    rectangles.initialize(repeating: PixelRectangle(top: 0, left: 0, height: 0, width: 0))
    count = image.withUnsafeMutableBufferPointer { image in
      attention.withUnsafeBufferPointer { attention in
        eraseSuspiciousForgeries(
          image: image, attention: attention, height: height, width: width, channels: channels,
          settings: settings, streams: &streams, into: rectangles)
      }
    }
  }
}
