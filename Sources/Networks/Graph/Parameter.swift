/// A trainable tensor: where its values lie in the detector's arena, and its published name.
public struct Parameter: Sendable {
  /// How the published tensor is laid out in the arena.
  public enum Layout: Sendable, Equatable {
    /// (out, in) or (out, in, 1, 1), as published.
    case matrix
    /// Published (out, in, 3, 3), stored (out, ky, kx, in): a row is a patch of an NHWC image.
    case dense
    /// Published (channels, 1, 3, 3), stored (ky, kx, padded channels).
    case depthwise
    /// (channels), padded.
    case vector
  }

  /// The usual PyTorch name, such as `block1.rep.0.pointwise.weight`.
  public let name: String
  /// The published shape.
  public let shape: [Int]
  public let layout: Layout
  /// First element in the arena, a multiple of 16.
  public let offset: Int

  /// Elements as published.
  public var publishedCount: Int { shape.reduce(1, *) }

  /// Elements in the arena, padding between channels included.
  public var storedCount: Int {
    switch layout {
    case .matrix, .dense: publishedCount
    case .depthwise: 9 * paddedChannels(shape[0])
    case .vector: paddedChannels(shape[0])
    }
  }

  /// Elements to the next parameter.
  var extent: Int { paddedChannels(storedCount) }

  /// (outputs, inputs) of a parameter that multiplies pixels or patches, else nil.
  let matrixShape: (outputs: Int, inputs: Int)?

  init(name: String, shape: [Int], layout: Layout, offset: Int) {
    self.name = name
    self.shape = shape
    self.layout = layout
    self.offset = offset
    matrixShape =
      layout == .matrix || layout == .dense ? (shape[0], shape.dropFirst().reduce(1, *)) : nil
  }

  /// Inputs to one output, for initialisation.
  var fanIn: Int { shape.dropFirst().reduce(1, *) }

  /// Published element `i`'s place after `offset`.
  @inline(__always)
  func stored(_ i: Int) -> Int {
    switch layout {
    case .matrix, .vector: return i
    case .depthwise: return (i % 9) * paddedChannels(shape[0]) + i / 9
    case .dense:
      let inputs = shape[1]
      let (output, rest) = i.quotientAndRemainder(dividingBy: inputs * 9)
      let (input, tap) = rest.quotientAndRemainder(dividingBy: 9)
      return output * 9 * inputs + tap * inputs + input
    }
  }

  /// Reads the published order out of an arena.
  func published(from arena: UnsafePointer<Float>) -> [Float] {
    (0..<publishedCount).map { arena[offset + stored($0)] }
  }

  /// Stores published values into an arena.
  func store(_ values: [Float], into arena: UnsafeMutablePointer<Float>) {
    precondition(values.count == publishedCount, "\(name) has \(publishedCount) elements")
    for i in 0..<publishedCount { arena[offset + stored(i)] = values[i] }
  }
}

/// The channel count rounded up to 16: a pixel then starts a whole vector of a whole cache line.
@inlinable public func paddedChannels(_ channels: Int) -> Int { (channels + 15) / 16 * 16 }
