/// What lies around a map for a window that reaches over its border.
enum Padding: Sendable, Equatable {
  /// As many zeros on every side (PyTorch).
  case zeros(Int)
  /// So that a map of n pixels gives ⌈n/stride⌉, the odd one to the right and below (TensorFlow).
  case same
  /// What `same` is for a map of this many pixels, whatever the map's size (efficientnet_pytorch).
  case sameOf(Int)
}

/// A square window that slides over a map: of a convolution or a pooling.
struct Window: Sendable, Equatable {
  /// Taps to a side.
  let size: Int
  let stride: Int
  let padding: Padding
  /// Pixels from tap to tap.
  let dilation: Int

  init(_ size: Int, stride: Int = 1, padding: Padding = .zeros(0), dilation: Int = 1) {
    self.size = size
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
  }

  /// Pixels that it covers.
  var reach: Int { (size - 1) * dilation + 1 }

  /// Nothing but the pixel itself.
  var isPointwise: Bool { size == 1 && stride == 1 && padding == .zeros(0) }

  /// Over `pixels` pixels in a row: how many of padding come before the first, and how many go out.
  func placed(over pixels: Int) -> (before: Int, outputs: Int) {
    func total(_ pixels: Int) -> Int {
      max(0, ((pixels + stride - 1) / stride - 1) * stride + reach - pixels)
    }
    switch padding {
    case .zeros(let count): return (count, (pixels + 2 * count - reach) / stride + 1)
    case .same: return (total(pixels) / 2, (pixels + stride - 1) / stride)
    case .sameOf(let reference):
      let all = total(reference)
      return (all / 2, (pixels + all - reach) / stride + 1)
    }
  }

  /// Pixels of padding before the first of `pixels` in a row and behind the last, as far as the window
  /// comes.
  func padding(over pixels: Int) -> (before: Int, after: Int) {
    let (before, outputs) = placed(over: pixels)
    if case .zeros = padding { return (before, before) }
    return (before, max(0, (outputs - 1) * stride + reach - before - pixels))
  }

  func output(of size: MapSize) -> MapSize {
    MapSize(
      height: placed(over: size.height).outputs, width: placed(over: size.width).outputs)
  }
}
