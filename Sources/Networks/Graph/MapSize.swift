/// A map's size in pixels.
public struct MapSize: Sendable, Equatable {
  public var height: Int
  public var width: Int
  public var pixels: Int { height * width }

  /// After pooling 3×3 with stride 2 and padding 1, or a 1×1 convolution with stride 2.
  var halved: MapSize { MapSize(height: (height - 1) / 2 + 1, width: (width - 1) / 2 + 1) }
}
