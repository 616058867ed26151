# A program whose debug information (DWARF 5) refers to itself wherever one entry can refer to another, beside a
# variable that is sound.
    .text
    .globl main
    .type main, @function
main:
    xorl %eax, %eax
.Linlined:
    nop
.Linlined_end:
    ret
.Lend:
    .size main, .Lend - main

    .section .debug_abbrev, "", @progbits
    .macro abbreviation code, tag, children
    .uleb128 \code
    .uleb128 \tag
    .byte \children
    .endm
    .macro attribute name, form
    .uleb128 \name
    .uleb128 \form
    .endm
    .macro done
    .byte 0, 0
    .endm
    abbreviation 1, 0x11, 1         # compile_unit: name, low_pc, high_pc
    attribute 0x03, 0x08
    attribute 0x11, 0x01
    attribute 0x12, 0x07
    done
    abbreviation 2, 0x24, 0         # base_type: name, byte_size, encoding
    attribute 0x03, 0x08
    attribute 0x0b, 0x0b
    attribute 0x3e, 0x0b
    done
    abbreviation 3, 0x16, 0         # typedef: name, type
    attribute 0x03, 0x08
    attribute 0x49, 0x13
    done
    abbreviation 4, 0x13, 1         # structure_type: name
    attribute 0x03, 0x08
    done
    abbreviation 5, 0x0d, 0         # member: name, type, data_member_location
    attribute 0x03, 0x08
    attribute 0x49, 0x13
    attribute 0x38, 0x0b
    done
    abbreviation 6, 0x0d, 0         # member without name
    attribute 0x49, 0x13
    attribute 0x38, 0x0b
    done
    abbreviation 7, 0x2e, 1         # subprogram: name, low_pc, high_pc, frame_base
    attribute 0x03, 0x08
    attribute 0x11, 0x01
    attribute 0x12, 0x07
    attribute 0x40, 0x18
    done
    abbreviation 8, 0x34, 0         # variable: name, type, location
    attribute 0x03, 0x08
    attribute 0x49, 0x13
    attribute 0x02, 0x18
    done
    abbreviation 9, 0x34, 0         # variable: abstract_origin
    attribute 0x31, 0x13
    done
    abbreviation 10, 0x2e, 0        # subprogram: abstract_origin, low_pc, high_pc
    attribute 0x31, 0x13
    attribute 0x11, 0x01
    attribute 0x12, 0x07
    done
    abbreviation 11, 0x2e, 0        # subprogram: specification
    attribute 0x47, 0x13
    done
    abbreviation 12, 0x1d, 0        # inlined_subroutine: abstract_origin, low_pc, high_pc
    attribute 0x31, 0x13
    attribute 0x11, 0x01
    attribute 0x12, 0x07
    done
    abbreviation 13, 0x01, 0        # array_type: type
    attribute 0x49, 0x13
    done
    abbreviation 14, 0x39, 1        # namespace: sibling, name
    attribute 0x01, 0x13
    attribute 0x03, 0x08
    done
    abbreviation 15, 0x3d, 0        # imported_unit: import
    attribute 0x18, 0x10
    done
    abbreviation 16, 0x0f, 0        # pointer_type: type
    attribute 0x49, 0x13
    done
    abbreviation 17, 0x1c, 0        # inheritance: type, data_member_location
    attribute 0x49, 0x13
    attribute 0x38, 0x0b
    done
    .byte 0

    .section .debug_info, "", @progbits
.Lunit:
    .long .Lunit_end - .Lversion
.Lversion:
    .value 5
    .byte 1, 8
    .long .debug_abbrev
    .uleb128 1
    .asciz "circles.c"
    .quad main
    .quad .Lend - main
.Lint:
    .uleb128 2
    .asciz "int"
    .byte 4, 5
.Lround:
    .uleb128 3
    .asciz "round"
    .long .Lround - .Lunit
.Lsquare:
    .uleb128 13
    .long .Lsquare - .Lunit
.Lpointer:
    .uleb128 16
    .long .Lpointer - .Lunit
.Lnest:
    .uleb128 4
    .asciz "nest"
    .uleb128 5
    .asciz "inner"
    .long .Lnest - .Lunit
    .byte 0
    .uleb128 6
    .long .Lnest - .Lunit
    .byte 0
    .uleb128 17
    .long .Lnest - .Lunit
    .byte 0
    .byte 0
.Lspace:
    .uleb128 14
    .long .Lspace - .Lunit
    .asciz "space"
    .uleb128 15
    .long .Lunit
    .byte 0
.Lfirst:
    .uleb128 10
    .long .Lsecond - .Lunit
    .quad main
    .quad .Lend - main
.Lsecond:
    .uleb128 11
    .long .Lfirst - .Lunit
    .uleb128 7
    .asciz "main"
    .quad main
    .quad .Lend - main
    .uleb128 1
    .byte 0x57
.Lsound:
    .uleb128 8
    .asciz "sound"
    .long .Lint - .Lunit
    .uleb128 2
    .byte 0x91, 0x08
    .uleb128 8
    .asciz "looping"
    .long .Lround - .Lunit
    .uleb128 3
    .byte 0x2f, 0xfd, 0xff
    .uleb128 8
    .asciz "nested"
    .long .Lnest - .Lunit
    .uleb128 2
    .byte 0x91, 0x10
    .uleb128 8
    .asciz "row"
    .long .Lsquare - .Lunit
    .uleb128 2
    .byte 0x91, 0x10
    .uleb128 8
    .asciz "chain"
    .long .Lpointer - .Lunit
    .uleb128 2
    .byte 0x91, 0x10
.Linstance:
    .uleb128 12
    .long .Linstance - .Lunit
    .quad .Linlined
    .quad .Linlined_end - .Linlined
    .byte 0
    .byte 0
.Lunit_end:

    .section .note.GNU-stack, "", @progbits
