extension GaussianBlur {
  /// The same of a plane of numbers, in float32: rows first and then columns, mirrored at the border as
  /// pictures are.
  ///
  /// - Parameter plane: `[height, width]`.
  public func applied(to plane: [Float], width: Int, height: Int) -> [Float] {
    precondition(plane.count == width * height && !plane.isEmpty, "a plane of \(width)×\(height)")
    let weights = weights.map(Float.init)
    let rows = Self.filterRows(plane, width: width, height: height, weights)
    return Self.filterColumns(rows, width: width, height: height, weights)
  }

  /// Two rows that a tap counts; the same one twice for the middle.
  private typealias Pair = (one: UnsafePointer<Float>, other: UnsafePointer<Float>)

  private static func filterRows(
    _ plane: [Float], width: Int, height: Int, _ weights: [Float]
  ) -> [Float] {
    let radius = weights.count - 1
    // Where the places beside a row are read.
    let before = (0..<radius).map { mirrored($0 - radius, count: width) }
    let after = (0..<radius).map { mirrored(width + $0, count: width) }
    return plane.withUnsafeBufferPointer { plane in
      filled(plane.count) { out in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: width + 2 * radius) { line in
          let start = line.baseAddress! + radius
          let pairs = (0...radius).map {
            Pair(UnsafePointer(start - $0), UnsafePointer(start + $0))
          }
          for y in 0..<height {
            let row = plane.baseAddress! + y * width
            for x in 0..<radius {
              line[x] = row[before[x]]
              line[radius + width + x] = row[after[x]]
            }
            start.update(from: row, count: width)
            filter(weights, pairs, count: width, into: out + y * width)
          }
        }
      }
    }
  }

  private static func filterColumns(
    _ plane: [Float], width: Int, height: Int, _ weights: [Float]
  ) -> [Float] {
    plane.withUnsafeBufferPointer { plane in
      let start = plane.baseAddress!
      return filled(plane.count) { out in
        for y in 0..<height {
          let pairs = weights.indices.map {
            Pair(
              start + mirrored(y - $0, count: height) * width,
              start + mirrored(y + $0, count: height) * width)
          }
          filter(weights, pairs, count: width, into: out + y * width)
        }
      }
    }
  }

  /// Sums up whole rows, for each place tap by tap from the middle one outwards.
  private static func filter(
    _ weights: [Float], _ pairs: [Pair], count: Int, into out: UnsafeMutablePointer<Float>
  ) {
    // Sums stay in registers.
    typealias Lanes = SIMD16<Float>
    let lanes = Lanes.scalarCount
    func read(_ row: UnsafePointer<Float>, _ place: Int) -> Lanes {
      UnsafeRawPointer(row + place).loadUnaligned(as: Lanes.self)
    }
    weights.withUnsafeBufferPointer { weights in
      pairs.withUnsafeBufferPointer { pairs in
        var place = 0
        while place + lanes <= count {
          var sums = weights[0] * read(pairs[0].one, place)
          for tap in 1..<max(1, weights.count) {
            sums += weights[tap] * (read(pairs[tap].one, place) + read(pairs[tap].other, place))
          }
          UnsafeMutableRawPointer(out + place).storeBytes(of: sums, as: Lanes.self)
          place += lanes
        }
        for place in place..<count {
          var sum = weights[0] * pairs[0].one[place]
          for tap in 1..<max(1, weights.count) {
            sum += weights[tap] * (pairs[tap].one[place] + pairs[tap].other[place])
          }
          out[place] = sum
        }
      }
    }
  }

  private static func filled(
    _ count: Int, _ body: (UnsafeMutablePointer<Float>) -> Void
  ) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { buffer, initialised in
      body(buffer.baseAddress!)
      initialised = count
    }
  }
}
