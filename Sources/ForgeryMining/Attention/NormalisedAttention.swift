/// The normalised Forgery Attention Map: smoothed, and scaled to [0, 1].
///
/// Wang & Deng, CVPR 2021, section 3. Gradients of neighbouring pixels differ wildly, and the
/// scale of a gradient differs from image to image; both would drown what maps of one manipulation
/// method have in common. So the map is resized bilinearly to half its size (⌊height/2⌋×⌊width/2⌋,
/// at least 1×1) and back, corners not aligned and without antialiasing, and then scaled by its own
/// extremes:
///
///     normalised = (map − min map) / (max map − min map)
///
/// A map that is constant after smoothing shows no preference for any pixel: it becomes all zeros.
/// A NaN or an infinity anywhere makes the scale meaningless: the result is then all NaN.
///
/// - Parameters:
///   - attention: the map, `[height, width]`, not empty.
///   - height: rows of the map.
///   - width: columns of the map.
///   - normalised: receives the normalised map, `[height, width]`.
public func normaliseAttention(
  _ attention: UnsafeBufferPointer<Float>, height: Int, width: Int,
  into normalised: UnsafeMutableBufferPointer<Float>
) {
  let halfHeight = max(1, height / 2)
  let halfWidth = max(1, width / 2)
  withUnsafeTemporaryAllocation(of: Float.self, capacity: halfHeight * halfWidth) { half in
    half.initialize(repeating: 0)
    resizeBilinear(
      attention, height: height, width: width, into: half, height: halfHeight, width: halfWidth)
    resizeBilinear(
      UnsafeBufferPointer(half), height: halfHeight, width: halfWidth, into: normalised,
      height: height, width: width)
  }
  scaleByExtremes(normalised)
}

/// Carries a map's smallest value to 0 and its largest to 1, in place.
private func scaleByExtremes(_ normalised: UnsafeMutableBufferPointer<Float>) {
  var smallest = Float.infinity
  var largest = -Float.infinity
  var finite = true
  for value in normalised {
    if value < smallest { smallest = value }
    if value > largest { largest = value }
    if !value.isFinite { finite = false }
  }
  guard finite else {
    normalised.update(repeating: .nan)
    return
  }
  guard largest > smallest else {
    normalised.update(repeating: 0)
    return
  }
  let range = largest - smallest
  for pixel in 0..<normalised.count { normalised[pixel] = (normalised[pixel] - smallest) / range }
}

/// ``normaliseAttention(_:height:width:into:)`` for many square maps of one size, with the same
/// result: what can be worked out beforehand is, so that a map allocates nothing.
public final class AttentionNormaliser: Sendable {
  /// Rows and columns of a map.
  public let side: Int
  /// Values that a map needs room for beside its own.
  public var scratchCount: Int { half * half }
  private let half: Int
  private let shrinking: [Neighbours]
  private let enlarging: [Neighbours]

  public init(side: Int) {
    precondition(side > 0, "AttentionNormaliser: expected a side of at least 1, got \(side)")
    self.side = side
    let half = max(1, side / 2)
    self.half = half
    let shrink = Neighbours.Scale(from: side, to: half)
    let enlarge = Neighbours.Scale(from: half, to: side)
    shrinking = (0..<half).map { shrink.neighbours(of: $0) }
    enlarging = (0..<side).map { enlarge.neighbours(of: $0) }
  }

  /// Normalises a map in place. Maps with scratch of their own may be normalised at the same time.
  ///
  /// - Parameters:
  ///   - map: `[side, side]`.
  ///   - scratch: ``scratchCount`` values, whatever they are.
  public func normalise(
    _ map: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    shrinking.withUnsafeBufferPointer {
      resizeBilinear(map, width: side, into: scratch, down: $0, across: $0)
    }
    enlarging.withUnsafeBufferPointer {
      resizeBilinear(scratch, width: half, into: map, down: $0, across: $0)
    }
    scaleByExtremes(UnsafeMutableBufferPointer(start: map, count: side * side))
  }
}

/// The normalised Forgery Attention Map as an array; see the buffer version for the definition.
///
/// - Returns: `[height, width]`, in [0, 1].
public func normalisedAttention(_ attention: [Float], height: Int, width: Int) -> [Float] {
  var normalised = [Float](repeating: 0, count: height * width)
  attention.withUnsafeBufferPointer { attention in
    normalised.withUnsafeMutableBufferPointer {
      normaliseAttention(attention, height: height, width: width, into: $0)
    }
  }
  return normalised
}
