/// Map sizes of a detector at one crop.
struct NetworkGeometry: Sendable {
  let crop: MapSize
  /// After the first and second convolution.
  let stem1: MapSize
  let stem2: MapSize
  /// Of each block's input; the units of a block keep it.
  let blocks: [MapSize]
  /// Of the last features.
  let features: MapSize

  init(_ layers: XceptionLayers, crop: Int) {
    precondition(
      crop >= DetectorName.smallestCrop, "a crop has at least \(DetectorName.smallestCrop) pixels")
    self.crop = MapSize(height: crop, width: crop)
    stem1 = self.crop.valid(stride: layers.conv1.stride)
    stem2 = stem1.valid(stride: layers.conv2.stride)
    var size = stem2
    var sizes: [MapSize] = []
    for block in layers.blocks {
      sizes.append(size)
      if block.shortcut != nil { size = size.halved }
    }
    blocks = sizes
    features = size
  }

  /// Multiply-accumulates of one image's forward pass.
  func multiplyAccumulates(_ layers: XceptionLayers) -> Int {
    var sum = stem1.pixels * 27 * layers.conv1.outputs
    sum += stem2.pixels * 9 * layers.conv2.inputs * layers.conv2.outputs
    func unit(_ unit: SeparableUnit, _ size: MapSize) -> Int {
      size.pixels * unit.inputs * (9 + unit.outputs)
    }
    for (block, size) in zip(layers.blocks, blocks) {
      sum += block.units.reduce(0) { $0 + unit($1, size) }
      if let shortcut = block.shortcut {
        sum += size.halved.pixels * shortcut.inputs * shortcut.outputs
      }
    }
    sum += unit(layers.conv3, features) + unit(layers.conv4, features)
    return sum + 2 * layers.classifier.features
  }
}

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
