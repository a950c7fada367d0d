import Images

/// A landmark model's numbers, checked, and what is computed of them.
///
/// Shapes are points relative to the face's box: (0, 0) its upper left corner, (1, 1) its lower right.
struct LandmarkCascade: Sendable {
  /// A comparison inside a tree: to the left if feature `first` − feature `second` > `threshold`.
  struct Split: Sendable {
    var first: UInt16
    var second: UInt16
    var threshold: Float
  }

  /// A pixel that is looked at: a place beside a landmark of the mean shape.
  struct Feature: Sendable {
    var landmark: Int
    var offset: SIMD2<Float>
  }

  /// Trees that look at the same pixels. All trees have one depth, splits of a tree breadth first.
  struct Forest: Sendable {
    /// [trees, leaves − 1].
    var splits: [Split]
    /// [trees, leaves, points, 2]: what each leaf adds to the shape.
    var leaves: [Float]
    var features: [Feature] = []
  }

  let meanShape: [SIMD2<Float>]
  let leavesOfATree: Int
  let forests: [Forest]

  /// The shape of the face in `box`, in pixels of the image, rounded as dlib does.
  func shape(in image: RGBImage, of box: FaceBox) -> [SIMD2<Float>] {
    let corner = SIMD2(Double(box.left), Double(box.top))
    let extent = SIMD2(Double(box.right), Double(box.bottom)) - corner
    var shape = meanShape
    for forest in forests {
      let levels = levels(forest.features, shape, in: image, corner: corner, extent: extent)
      add(forest, levels, to: &shape)
    }
    return shape.map { SIMD2<Float>(Self.rounded(SIMD2<Double>($0) * extent + corner)) }
  }

  /// The brightness, (red + green + blue) / 3, of each feature's pixel; 0 outside the image. Offsets are
  /// turned and scaled as the shape is, compared to the mean shape.
  private func levels(
    _ features: [Feature], _ shape: [SIMD2<Float>], in image: RGBImage, corner: SIMD2<Double>,
    extent: SIMD2<Double>
  ) -> [Float] {
    let turn =
      SimilarityTransform(
        from: meanShape.lazy.map { SIMD2<Double>($0) }, to: shape.lazy.map { SIMD2<Double>($0) })?
      .factor ?? SIMD2(1, 0)
    let (cosine, sine) = (Float(turn.x), Float(turn.y))
    return image.pixels.withUnsafeBufferPointer { pixels in
      features.map { feature in
        let offset = feature.offset
        let turned = SIMD2(
          cosine * offset.x - sine * offset.y, sine * offset.x + cosine * offset.y)
        let place = Self.rounded(
          SIMD2<Double>(turned + shape[feature.landmark]) * extent + corner)
        // Also false for what is not a number.
        guard place.x >= 0, place.y >= 0, place.x < Double(image.width),
          place.y < Double(image.height)
        else { return 0 }
        let at = (Int(place.y) * image.width + Int(place.x)) * 3
        return Float((Int(pixels[at]) + Int(pixels[at + 1]) + Int(pixels[at + 2])) / 3)
      }
    }
  }

  private func add(_ forest: Forest, _ levels: [Float], to shape: inout [SIMD2<Float>]) {
    let splitsOfATree = leavesOfATree - 1
    let trees = forest.leaves.count / (leavesOfATree * shape.count * 2)
    let points = shape.count
    shape.withUnsafeMutableBufferPointer { shape in
      forest.splits.withUnsafeBufferPointer { splits in
        forest.leaves.withUnsafeBufferPointer { leaves in
          levels.withUnsafeBufferPointer { levels in
            for tree in 0..<trees {
              var node = 0
              while node < splitsOfATree {
                let split = splits[tree * splitsOfATree + node]
                let difference = levels[Int(split.first)] - levels[Int(split.second)]
                node = 2 * node + (difference > split.threshold ? 1 : 2)
              }
              let leaf = (tree * leavesOfATree + node - splitsOfATree) * points * 2
              for point in 0..<points {
                shape[point] += SIMD2(leaves[leaf + 2 * point], leaves[leaf + 2 * point + 1])
              }
            }
          }
        }
      }
    }
  }

  /// To the nearest pixel, halves up, as dlib's points of whole numbers have it.
  private static func rounded(_ point: SIMD2<Double>) -> SIMD2<Double> {
    (point + 0.5).rounded(.down)
  }
}
