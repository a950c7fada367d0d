/// How a convolution's weight gradient dW = Σ dyᵀ·x is put together from its tiles.
///
/// Small matrices get a lane a task, which every tile multiplies into and which are added in task order. For
/// large ones, whose lanes would be more traffic than arithmetic, the operands of the whole layer are kept and
/// multiplied at the end, cut by output channels, unless an image has very many of them. In bfloat16, where
/// this project's own multiply runs, operands are packed tile by tile (`bfloat16_multiply.h`).
struct WeightGradientPlan: Sendable {
  let outputs: Int
  let inputs: Int
  let keepsLayer: Bool
  let isPacked: Bool
  /// Images of a pass, and pixels of one.
  let images: Int
  let pixels: Int
  /// Images that share a tile, and pixels of a tile but a map's last.
  let joined: Int
  let tilePixels: Int
  let tilesPerMap: Int

  /// Weight matrices up to this size get lanes, and larger ones of layers with more elements an image than
  /// that.
  private static let largestLane = 200_000
  private static let largestOperands = 1_500_000

  /// - Parameters:
  ///   - size: the map that the weights make, whose rows are tiled.
  ///   - isStored: the operands are a map that is there in any case.
  ///   - joined: images of a task.
  init(
    outputs: Int, inputs: Int, _ size: MapSize, isStored: Bool, lanesOnly: Bool, isPacked: Bool,
    images: Int, joined: Int
  ) {
    self.outputs = outputs
    self.inputs = inputs
    self.isPacked = isPacked
    self.images = images
    self.joined = Tiling.joins(size) ? joined : 1
    keepsLayer =
      !lanesOnly && outputs * inputs > Self.largestLane
      && (isStored || size.pixels * paddedChannels(inputs) <= Self.largestOperands)
    pixels = size.pixels
    let rows = Tiling.rows(size)
    tilePixels = rows * size.width
    tilesPerMap = (size.height + rows - 1) / rows
  }

  /// Pixels of an image's operands in the layer's memory: packed ones start a new pair with every tile.
  var keptPixels: Int { isPacked ? pixels + tilesPerMap : pixels }

  /// Pairs that `maps` whole maps take in packed operands.
  private func pairs(ofMaps maps: Int) -> Int {
    let (groups, rest) = maps.quotientAndRemainder(dividingBy: joined)
    if joined > 1 || tilesPerMap == 1 {
      return groups * ((joined * pixels + 1) / 2) + (rest * pixels + 1) / 2
    }
    let last = pixels - (tilesPerMap - 1) * tilePixels
    return maps * ((tilesPerMap - 1) * ((tilePixels + 1) / 2) + (last + 1) / 2)
  }

  var totalPairs: Int { pairs(ofMaps: images) }

  /// First pair of the tile that begins with a pixel of an image.
  func pair(image: Int, pixel: Int) -> Int {
    pairs(ofMaps: image) + pixel / tilePixels * ((tilePixels + 1) / 2)
  }

  /// Slices of some 128 output channels, in whole vectors and as equal as these allow: long enough to multiply
  /// at full rate, enough of them to go round.
  var slices: [Range<Int>] {
    let count = max(1, (outputs + 127) / 128)
    let (each, more) = (paddedChannels(outputs) / 16).quotientAndRemainder(dividingBy: count)
    return (0..<count).map { slice in
      let start = 16 * (slice * each + min(slice, more))
      return start..<min(outputs, start + 16 * (slice < more ? each + 1 : each))
    }
  }
}
