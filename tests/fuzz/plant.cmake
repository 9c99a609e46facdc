# Writes OUT, a copy of the source IN with one check taken out: WITHOUT, replaced by INSTEAD. A
# check that is not there just once ends the build, so that no canary sings for nothing.
file(READ ${IN} text)
string(REPLACE "${WITHOUT}" "${INSTEAD}" planted "${text}")
string(LENGTH "${text}" before)
string(LENGTH "${planted}" after)
string(LENGTH "${WITHOUT}" length_without)
string(LENGTH "${INSTEAD}" length_instead)
math(EXPR once "${before} - ${length_without} + ${length_instead}")
if(NOT after EQUAL once)
    message(FATAL_ERROR "\"${WITHOUT}\" is not just once in ${IN}")
endif()
file(WRITE ${OUT} "${planted}")
