/// A trainable tensor: where its values lie in the detector's arena, and its published name.
public struct Parameter: Sendable {
  /// How the published tensor is laid out in the arena.
  public enum Layout: Sendable, Equatable {
    /// (out, in) or (out, in, 1, 1), as published.
    case matrix
    /// Published (out, in, k, k), stored (out, ky, kx, padded in): a row is a patch of an NHWC map. The
    /// three channels of an image are not padded.
    case dense
    /// Published (out, in of a group, k, k), stored (out, ky, kx, in of a group).
    case grouped
    /// Published (channels, 1, k, k), stored (ky, kx, padded channels).
    case depthwise
    /// (channels), padded.
    case vector
  }

  /// How it is drawn before a training.
  enum Initial: Sendable, Equatable {
    case constant(Float)
    /// Normal with variance 2/fan-in (He et al. 2015).
    case normal
    /// Uniform in ±1/√fan-in.
    case uniform
  }

  /// The usual PyTorch name, such as `block1.rep.0.pointwise.weight`.
  public let name: String
  /// The published shape.
  public let shape: [Int]
  public let layout: Layout
  /// First element in the arena, a multiple of 16.
  public let offset: Int
  let initial: Initial

  /// Elements as published.
  public var publishedCount: Int { shape.reduce(1, *) }

  /// Elements in the arena, padding between channels included.
  public var storedCount: Int {
    switch layout {
    case .matrix, .grouped: publishedCount
    case .dense: shape[0] * taps * patchChannels
    case .depthwise: taps * paddedChannels(shape[0])
    case .vector: paddedChannels(shape[0])
    }
  }

  /// Elements to the next parameter.
  var extent: Int { paddedChannels(storedCount) }

  /// (outputs, inputs) of a parameter that multiplies pixels or patches, else nil.
  let matrixShape: (outputs: Int, inputs: Int)?

  /// Places of a convolution's window.
  private let taps: Int
  /// Channels of a place in a stored row of a convolution.
  private let patchChannels: Int

  init(name: String, shape: [Int], layout: Layout, offset: Int, initial: Initial) {
    self.name = name
    self.shape = shape
    self.layout = layout
    self.offset = offset
    self.initial = initial
    taps = shape.count == 4 ? shape[2] * shape[3] : 1
    patchChannels =
      switch layout {
      case .dense: shape[1] == 3 ? 3 : paddedChannels(shape[1])
      case .grouped: shape[1]
      case .matrix, .depthwise, .vector: 0
      }
    switch layout {
    case .matrix: matrixShape = (shape[0], shape[1])
    case .dense: matrixShape = (shape[0], taps * patchChannels)
    case .grouped, .depthwise, .vector: matrixShape = nil
    }
  }

  /// Parameters declared in forward order, with offsets in the reverse, as backward ends with them.
  static func placed(_ declared: [Parameter]) -> [Parameter] {
    var offset = 0
    var placed = declared
    for i in placed.indices.reversed() {
      let parameter = placed[i]
      placed[i] = Parameter(
        name: parameter.name, shape: parameter.shape, layout: parameter.layout, offset: offset,
        initial: parameter.initial)
      offset += parameter.extent
    }
    return placed
  }

  /// Inputs to one output, for initialisation.
  var fanIn: Int { shape.dropFirst().reduce(1, *) }

  /// Published element `i`'s place after `offset`.
  @inline(__always)
  func stored(_ i: Int) -> Int {
    switch layout {
    case .matrix, .vector: return i
    case .depthwise: return (i % taps) * paddedChannels(shape[0]) + i / taps
    case .dense, .grouped:
      let (output, rest) = i.quotientAndRemainder(dividingBy: shape[1] * taps)
      let (input, tap) = rest.quotientAndRemainder(dividingBy: taps)
      return (output * taps + tap) * patchChannels + input
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
