/// How a map is cut into the tiles that stay in cache.
enum Tiling {
  /// Rows of a tile aim at this many pixels: enough for a matrix multiply to run at full rate, few
  /// enough for a tile of some hundred channels to stay in a core's own cache.
  static let pixels = 224
  /// Maps with fewer pixels than this are joined, several images to one tile.
  static let joinBelow = 100

  static func rows(_ size: MapSize) -> Int { min(size.height, max(1, pixels / size.width)) }
  static func joins(_ size: MapSize) -> Bool { size.pixels < joinBelow }

  /// Pixels of the largest tile.
  static func tilePixels(_ size: MapSize, images: Int) -> Int {
    joins(size) ? images * size.pixels : rows(size) * size.width
  }
}
