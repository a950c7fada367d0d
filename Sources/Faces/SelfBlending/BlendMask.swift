import Images
import Tensors

/// How much of each pixel is taken from the copy that is blended in: the face's extent, its edge deformed,
/// drawn in and softened (Shiohara and Yamasaki 2022, section 3.2).
///
/// It is made on a grid of about 224 cells a side whatever the size of the picture, as the authors smooth
/// theirs, so that its edge is as soft, for the face, in small pictures as in large ones.
struct BlendMask: Sendable, Equatable {
  /// Cells of the grid.
  let rows: Int
  let columns: Int
  /// How far the edge is drawn in, in cells: what the authors' first Gaussian leaves whole is what has
  /// nothing else within its reach.
  let inset: Int
  /// Reach of the Gaussian that softens the edge, in cells; more than ``inset`` makes the face larger.
  let reach: Int
  /// Its standard deviation.
  let softness: Double

  /// The deformation is noise of −1…1 in either direction, smoothed by a Gaussian of this many cells, times
  /// ``strength``: by 1.2 cells in the mean square.
  private static let smoothness = GaussianBlur(sigma: 7)
  private static let strength: Float = 50

  init(rows: Int, columns: Int, inset: Int, reach: Int, softness: Double) {
    self.rows = rows
    self.columns = columns
    self.inset = inset
    self.reach = reach
    self.softness = softness
  }

  init(_ draws: inout CounterGenerator) {
    self.init(
      rows: 192 + draws.below(65), columns: 192 + draws.below(65), inset: 2 + draws.below(11),
      reach: 2 + draws.below(11), softness: Double(5 + draws.below(41)))
  }

  /// The weights of pixels, `[height, width]`, 0…1; all 0 where nothing of the face lies in the picture.
  ///
  /// - Parameters:
  ///   - face: before it is moved.
  ///   - movement: of the copy that is blended in, with which its mask goes.
  ///   - noise: a stream for the deformation alone.
  func weights(
    of face: FaceExtent, movedBy movement: SourceMovement, width: Int, height: Int,
    noise: CounterGenerator
  ) -> [Float] {
    var inside = cells(of: face, movedBy: movement, width: width, height: height, noise: noise)
    let drawnIn = drawnIn(inside)
    // A face so small that nothing would be left keeps its edge.
    if drawnIn.contains(1) { inside = drawnIn }
    var soft = GaussianBlur(sigma: softness, radius: reach)
      .applied(to: inside, width: columns, height: rows)
    let most = soft.max()!
    guard most > 0 else { return [Float](repeating: 0, count: width * height) }
    for cell in soft.indices { soft[cell] /= most }
    return resized(soft, width: width, height: height)
  }

  /// 1 where a cell's middle lies in the deformed face, 0 elsewhere: `[rows, columns]`.
  private func cells(
    of face: FaceExtent, movedBy movement: SourceMovement, width: Int, height: Int,
    noise: CounterGenerator
  ) -> [Float] {
    var noise = noise
    func displacement() -> [Float] {
      var field = [Float](repeating: 0, count: rows * columns)
      field.withUnsafeMutableBufferPointer { noise.fillUniform($0, low: -1, high: 1) }
      return Self.smoothness.applied(to: field, width: columns, height: rows)
    }
    let (right, down) = (displacement(), displacement())
    let cell = SIMD2(Double(width) / Double(columns), Double(height) / Double(rows))
    var inside = [Float](repeating: 0, count: rows * columns)
    for row in 0..<rows {
      for column in 0..<columns {
        let i = row * columns + column
        let place = SIMD2(
          Double(column) + Double(Self.strength * right[i]),
          Double(row) + Double(Self.strength * down[i]))
        let point = (place + 0.5) * cell - 0.5
        if face.contains(movement.origin(of: point, width: width, height: height)) {
          inside[i] = 1
        }
      }
    }
    return inside
  }

  /// 1 where every cell that is at most ``inset`` rows and columns away is 1.
  private func drawnIn(_ inside: [Float]) -> [Float] {
    /// Along lines whose cells are `step` apart.
    func along(_ cells: [Float], lines: Int, next: Int, count: Int, step: Int) -> [Float] {
      var result = cells
      for line in 0..<lines {
        // Cells since the last 0, and until the next one.
        var run = inset
        for place in 0..<count {
          let i = line * next + place * step
          run = cells[i] == 0 ? 0 : run + 1
          if run <= inset { result[i] = 0 }
        }
        run = inset
        for place in (0..<count).reversed() {
          let i = line * next + place * step
          run = cells[i] == 0 ? 0 : run + 1
          if run <= inset { result[i] = 0 }
        }
      }
      return result
    }
    let within = along(inside, lines: rows, next: columns, count: columns, step: 1)
    return along(within, lines: columns, next: 1, count: rows, step: columns)
  }

  /// Read bilinearly at the middles of pixels.
  private func resized(_ cells: [Float], width: Int, height: Int) -> [Float] {
    /// The two cells between which a pixel of an axis lies, and the share of the second.
    func places(_ count: Int, of cells: Int) -> [(Int, Int, Float)] {
      (0..<count).map { pixel in
        let place = (Double(pixel) + 0.5) * Double(cells) / Double(count) - 0.5
        let inside = min(max(place, 0), Double(cells - 1))
        let first = min(Int(inside), cells - 2)
        return (first, first + 1, Float(inside - Double(first)))
      }
    }
    let across = places(width, of: columns)
    var weights: [Float] = []
    weights.reserveCapacity(width * height)
    for (above, below, down) in places(height, of: rows) {
      for (left, right, share) in across {
        let top =
          cells[above * columns + left] * (1 - share) + cells[above * columns + right] * share
        let bottom =
          cells[below * columns + left] * (1 - share) + cells[below * columns + right] * share
        weights.append(top * (1 - down) + bottom * down)
      }
    }
    return weights
  }
}
