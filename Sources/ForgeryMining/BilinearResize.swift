/// Bilinear resizing of a map, without antialiasing: each output pixel's centre is carried to the
/// input, in pixel units (out + ½) · in/out − ½ (not below 0), and the four pixels round it are
/// mixed by distance, with the border repeated. The corners are not aligned. This is
/// `torch.nn.functional.interpolate(mode: "bilinear", align_corners: False)` with the output's size
/// given.
///
/// - Parameters:
///   - map: `[height, width]`, not empty.
///   - height: rows of the map.
///   - width: columns of the map.
///   - resized: receives `[newHeight, newWidth]`, not empty.
///   - newHeight: rows of the result.
///   - newWidth: columns of the result.
public func resizeBilinear(
  _ map: UnsafeBufferPointer<Float>, height: Int, width: Int,
  into resized: UnsafeMutableBufferPointer<Float>, height newHeight: Int, width newWidth: Int
) {
  precondition(
    height > 0 && width > 0 && map.count == height * width,
    "resizeBilinear: expected a map of \(height)×\(width) values, got \(map.count)")
  precondition(
    newHeight > 0 && newWidth > 0 && resized.count == newHeight * newWidth,
    "resizeBilinear: expected room for \(newHeight)×\(newWidth) values, got \(resized.count)")
  let rows = Neighbours.Scale(from: height, to: newHeight)
  let columns = Neighbours.Scale(from: width, to: newWidth)
  withUnsafeTemporaryAllocation(of: Neighbours.self, capacity: newHeight + newWidth) { plan in
    for row in 0..<newHeight { plan.initializeElement(at: row, to: rows.neighbours(of: row)) }
    for column in 0..<newWidth {
      plan.initializeElement(at: newHeight + column, to: columns.neighbours(of: column))
    }
    resizeBilinear(
      map.baseAddress!, width: width, into: resized.baseAddress!,
      down: UnsafeBufferPointer(rebasing: plan[..<newHeight]),
      across: UnsafeBufferPointer(rebasing: plan[newHeight...]))
  }
}

/// The same with the neighbours of every row and column worked out; allocates nothing.
func resizeBilinear(
  _ map: UnsafePointer<Float>, width: Int, into resized: UnsafeMutablePointer<Float>,
  down: UnsafeBufferPointer<Neighbours>, across: UnsafeBufferPointer<Neighbours>
) {
  var target = resized
  for down in down {
    let (upper, lower) = (map + down.first * width, map + down.second * width)
    for side in across {
      let top =
        side.firstWeight * upper[side.first] + side.secondWeight * upper[side.second]
      let bottom =
        side.firstWeight * lower[side.first] + side.secondWeight * lower[side.second]
      target.pointee = down.firstWeight * top + down.secondWeight * bottom
      target += 1
    }
  }
}

/// The two input pixels that an output pixel mixes along one axis, and their weights.
struct Neighbours {
  var first: Int
  var second: Int
  var firstWeight: Float
  var secondWeight: Float

  struct Scale {
    var size: Int
    var ratio: Float

    init(from size: Int, to newSize: Int) {
      self.size = size
      ratio = Float(size) / Float(newSize)
    }

    func neighbours(of index: Int) -> Neighbours {
      let position = max(0, (Float(index) + 0.5) * ratio - 0.5)
      let first = min(Int(position), size - 1)
      let fraction = min(max(position - Float(first), 0), 1)
      return Neighbours(
        first: first, second: min(first + 1, size - 1), firstWeight: 1 - fraction,
        secondWeight: fraction)
    }
  }
}
